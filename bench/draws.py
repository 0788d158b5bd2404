"""How much scGPT's random bins move its scores: ``make draws`` writes docs/scgpt_draws.md from the last run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genept.core.cli import stage
from genept.core.params import Params
from genept.engines import config as models

SEEDS = range(5)
HEADLINES = ("accuracy", "f1", "ari", "ami", "asw")
PAGE = Path("docs/scgpt_draws.md")
TEXT = """# What scGPT's draws do to its scores

scGPT cuts a cell's values into bins at their own quantiles. Most counts are 1, so most values equal many quantiles at
once, and upstream draws the bin, anew at every call and without a seed. Here the draws of `binning: drawn` belong to
(seed, cell, gene); `binning: expected` takes the mean of the bins that could be drawn and needs no seed, but for the
subset of genes of a cell that is too long.

Every row is `{model}` on the same cells, split and k-means seeds; only the draws differ: the bins, and which genes of a
cell with more than {max_length} tokens are read ("expected" takes those of seed {seed}). "Cosine" is the lowest, over
cells, of the embedding with that of seed 0. Made by `make draws`; the small
model was trained here and says nothing about the released one.

{table}

The spread over seeds is the noise that a table of scGPT's scores carries without saying so.
"""


@click.command()
@click.argument("model", default="scgpt_mini")
@stage
def main(params: Params, model: str) -> None:
    """Embed and score every dataset of the grid with several draws of MODEL's bins and with their mean."""
    import numpy as np
    from tabulate import tabulate

    from genept.data import cells
    from genept.engines.scgpt import embed as scgpt
    from genept.metrics import benchmark, targets
    from genept.metrics.embedding import Embedding

    config = models.read(model)
    rows: list[list[Any]] = []
    for dataset in params.grid.datasets:
        data, obs = cells.read(dataset), cells.read_obs(dataset)
        planned, _ = targets.plan(obs, params.evaluate, params.seed, dataset)
        drawn: list[list[float]] = []
        first = None
        for seed in [*SEEDS, None]:
            bins = {"binning": "expected"} if seed is None else {"binning": "drawn", "seed": seed}
            some = config.model_copy(update={"embed": config.embed.model_copy(update=bins)})
            matrix, _ = scgpt.embed(data, models.MODELS / model, some, params.device)
            first = matrix if first is None else first
            scores = benchmark.score(planned, Embedding(matrix[None]), params.evaluate, params.seed).headlines({})
            numbers = [scores[name] for name in HEADLINES]
            name = "expected" if seed is None else f"drawn, seed {seed}"
            rows.append([dataset, name, *numbers, float((first * matrix).sum(axis=1).min())])
            if seed is not None:
                drawn.append(numbers)
        rows.insert(-1, [dataset, "drawn, standard deviation", *np.std(drawn, axis=0, ddof=1), None])
    k = params.evaluate.knn.k
    header = ["Dataset", "Bins", f"{k}-NN accuracy", f"{k}-NN F1", "ARI", "AMI", "ASW", "Cosine"]
    table = tabulate(rows, header, tablefmt="github", floatfmt=".3f")
    PAGE.write_text(
        TEXT.format(model=model, table=table, max_length=config.embed.max_length, seed=config.embed.seed),
        encoding="utf-8",
    )
    click.echo(tabulate(rows, header, floatfmt=".3f"))


if __name__ == "__main__":
    main(prog_name="python -m bench.draws")
