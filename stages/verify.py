"""Hash all files, DVC's cache and a remote anew; ``python -m stages.verify --help`` says against what."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genept.core.cli import stage
from genept.core.errors import InputError
from genept.core.params import Params
from genept.repository import lock as locks

if TYPE_CHECKING:
    from genept.repository.objects import Checked

COLUMNS = 79
AT_MOST = 10  # problems of a place that are named
ADVICE = {
    "output": "Outputs: `dvc repro` makes them again, from a sound cache or anew.",
    "input": "Inputs: `dvc repro` runs what depends on them, or restore them.",
    "unknown": "Unknown: no stage wrote these; remove them, or put them elsewhere.",
    "object": "Cache, remote: delete what changed there; then `dvc push`, `pull` or `repro`.",
}


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--remote", metavar="NAME", help="Also read the objects of this remote; it downloads them all.")
@stage
def main(params: Params, paths: tuple[Path, ...], remote: str | None) -> None:
    """Compare what is here with what dvc.lock records: all of it, or what is at PATHs or in them.

    Hashes every input and output of the grid's stages, every object of DVC's cache that their outputs need and, with
    --remote, the same objects there. Names what is missing, what changed, and files beside outputs that no stage wrote.
    Nothing is written. The exit code is 1 unless all is as recorded.

    \b
    Examples: python -m stages.verify
              python -m stages.verify data/covid models/genept_w_minilm --remote shared
    """
    from genept.repository import objects

    lock = locks.read()
    if not lock:
        raise InputError(f"{locks.LOCK}: no such file; run `dvc repro` first, from the top folder of the repository")
    checked = objects.verify(lock, [os.path.relpath(path) for path in paths], remote)
    for one in checked:
        tell(one)
    problems = [problem for one in checked for problem in one.problems]
    if problems:
        roles = {problem.role for problem in problems}
        click.echo("\n".join(text for role, text in ADVICE.items() if role in roles))
        raise InputError(f"{len(problems)} not as {locks.LOCK} records")


def tell(one: Checked) -> None:
    """Print what was hashed at a place, how much of it is not as recorded, and the first of that by name."""
    counts = Counter(problem.kind for problem in one.problems)
    what = "files hashed" if one.place == "files" else "objects hashed"
    found = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "all as recorded"
    click.echo(f"{one.place}: {one.n_hashed} {what}; {found}")
    lines = textwrap.TextWrapper(COLUMNS, "  ", 11 * " ", break_on_hyphens=False)
    for problem in one.problems[:AT_MOST]:
        by = f"of {problem.of}" if problem.of else "read by" if problem.is_input else "by" if problem.stage else ""
        text = " ".join(filter(None, (f"{problem.kind:8}", problem.path, by, problem.stage)))
        click.echo(lines.fill(text))
    if len(one.problems) > AT_MOST:
        click.echo(f"  and {len(one.problems) - AT_MOST} more; name a PATH to see those in it")


if __name__ == "__main__":
    main(prog_name="python -m stages.verify")
