"""Remove what datasets and models leave that left the grid; ``python -m stages.clean --help`` says how."""

from __future__ import annotations

import click

from genept.core.cli import say, stage
from genept.core.errors import ParamsError
from genept.core.params import Params
from genept.repository import leaving
from stages.fetch import DATASETS_IN_USE, MODELS_IN_USE


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@stage
def main(params: Params, names: tuple[str, ...], dry_run: bool) -> None:
    """Remove what stages have made for datasets and models that are no longer in the grid of params.yaml.

    DVC keeps the entries of stages that are gone in dvc.lock, and their files. This command removes both: every entry
    that no stage of the grid has, and its outputs, also those in git (metrics) and those that DVC keeps (raw files). Of
    a NAME whose stages never finished, or whose entries are gone, it also removes the outputs that dvc.yaml names. Of a
    dataset or model whose settings file is gone, it removes the lines of data/hashes.lock.yaml, too. Finished
    parts of large datasets in data/cache that the last finished run did not use go as well.
    Settings, files of your own in data/manual, DVC's cache and the store of downloads stay, so that a name that comes
    back to the grid is not computed again.

    \b
    To take a dataset or a model out: remove its name from `grid` in params.yaml, then
        python -m stages.clean
        dvc repro
    """
    from genept.downloads.store import LOCK, Store

    for name in names:
        if name in (*DATASETS_IN_USE, *MODELS_IN_USE):
            raise ParamsError(
                f"clean: {name!r} is a folder of the repository, not a dataset or model; nothing is removed"
            )
    done = leaving.clean([*params.grid.datasets, *params.grid.models.names], names, dry_run)
    done += [f"{LOCK}: {key}" for key in Store().forget_unnamed(dry_run)]
    for line in done:
        say(line)
    if not done:
        say("nothing to remove: dvc.lock and the outputs are of the grid")


if __name__ == "__main__":
    main(prog_name="python -m stages.clean")
