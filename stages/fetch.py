"""Fetch what the pipeline starts from; ``python -m stages.fetch --help`` says how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import ParamsError
from genept.downloads.fallback import fetch_either

FOLDERS = {
    "references": "data/reference/{}",
    "datasets": "data/{}/raw",
    "models": "models/{}",
    "encoders": "data/encoders/{}",
}
RESERVED = ("reference", "encoders")  # folders beside those of the datasets


@click.command()
@click.argument("section", type=click.Choice(list(FOLDERS)))
@click.argument("name")
@stage
def main(params: dict[str, Any], section: str, name: str) -> None:
    """Fetch the files of NAME, an entry of params.yaml, and check that they are the right ones.

    \b
    SECTION says what it is, and with that where the files go:
      references   a table of genes          data/reference/NAME/
      datasets     annotated cells           data/NAME/raw/
      models       a model, used as it is    models/NAME/
      encoders     the text encoder that     data/encoders/NAME/
                   model NAME is made with

    The entry's source says where they come from; every file must have the sha256 given there. If anything goes wrong,
    files from an earlier run stay as they were. Where the sha256 is left out, that of the first download is recorded in
    data/hashes.lock.yaml, and a later download must have it, too. For a file of your own (kind: local) it is printed
    instead, to be pasted into params.yaml, so that the pipeline notices when the file changes. A file may have several
    places (candidates); what came of each is in the folder's attempts.json.

    \b
    Example: python -m stages.fetch datasets covid
    """
    entry = parameters.entry(params, "models" if section == "encoders" else section, name)
    if section == "datasets" and name in RESERVED:
        raise ParamsError(
            f"params.yaml: no dataset can be called {name!r}: data/{name}/ is in use; choose another name"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ParamsError(f"params.yaml: {name!r} cannot be a folder's name; use letters, digits, '_', '-' and '.'")
    where = f"{'models' if section == 'encoders' else section}.{name}"
    folder = Path(FOLDERS[section].format(name))
    _, found = fetch_either(where, entry.get("source"), folder)
    for target, digest in found.sha256.items():
        size = (folder / target).stat().st_size / 1e6
        click.echo(f"{folder / target}: {size:.1f} MB")
        if target in found.unnamed:
            click.echo(f"To notice when it changes, add under {where}.source.files.{target}:  sha256: {digest}")


if __name__ == "__main__":
    main(prog_name="python -m stages.fetch")
