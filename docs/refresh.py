"""Put the scores and the picture of the last run into the README: ``make readme``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from genept.core import params as parameters
from genept.report import captions, pairs, printing

README = Path("README.md")
PICTURE = Path("plots/umap/covid/genept_w_minilm.png")
SCORES = (("knn", "accuracy"), ("kmeans", "ari"))


def main() -> None:
    """Replace what is between the markers of README.md, and docs/figure_3_covid.png."""
    block = f"<!-- scores -->\n\n{scores(pairs.read(parameters.load()))}\n\n<!-- /scores -->"
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"<!-- scores -->.*<!-- /scores -->", lambda _: block, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")
    shutil.copyfile(PICTURE, "docs/figure_3_covid.png")


def scores(run: pairs.Run) -> str:
    """Print two scores of every model and dataset, on cell types, and how they were computed."""
    lines = []
    for model in dict.fromkeys(pair.model for pair in run.pairs):
        line = [f"`{model}`", run.model_title(model)]
        for dataset in run.records:
            pair = run.pair(dataset, model)
            values = [pair.score(task, "cell_type", metric) if pair else None for task, metric in SCORES]
            line += [printing.printed(score and score._replace(sd=None)) for score in values]
        lines.append(line)
    headings = [f"{dataset}, {name}" for dataset in run.records for name in ("accuracy", "ARI")]
    evaluate = run.params.evaluate
    clustering = captions.clustering(run.params).replace("mean and standard deviation", "mean")
    return (
        captions.filled(
            f"Cell types, seed {run.params.seed}. Accuracy: {captions.neighbours(run.params)} by {evaluate.knn.metric} "
            f"distance. {captions.split(evaluate.split)} ARI (adjusted Rand index): {clustering}."
        )
        + "\n\n"
        + printing.markdown_table(lines, ["Model", "What it is", *headings], n_left=2)
    )


if __name__ == "__main__":
    main()
