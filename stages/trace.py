"""Where a number comes from: the chain of stages, parameters and hashes behind any file of the pipeline.

Usage: ``python -m stages.trace metrics/scores/covid/scgpt_mini.json``
"""

from __future__ import annotations

from pathlib import Path

import click

from genept.report import trace


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def main(path: Path) -> None:
    """Print where the file PATH comes from: stages, parameters, inputs and their hashes, down to the downloads.

    PATH is any output of the pipeline, for example metrics/scores/covid/scgpt_mini.json.
    """
    for line in trace.chain(path):
        click.echo(line)


if __name__ == "__main__":
    main(prog_name="python -m stages.trace")
