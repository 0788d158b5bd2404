"""Put the scores and the picture of the last run into the README: ``make readme``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from genept.core import params as parameters
from genept.report import captions, pairs, printing, text_effect

README = Path("README.md")
PICTURE = Path("plots/umap/covid/genept_w_minilm.png")
SCORES = {  # heading: (task, metric, split)
    "accuracy": ("knn", "accuracy", "random"),
    "donors held out": ("knn", "accuracy", "donors"),
    "ARI": ("kmeans", "ari", ""),
}


def main() -> None:
    """Replace what is between the markers of README.md, and docs/figure_3_covid.png."""
    run = pairs.read(parameters.load())
    effects = text_effect.sentences(text_effect.read(run.records))
    conclusions = "\n".join(captions.filled(text, bullet="- ") for text in effects if text.startswith("`"))
    block = f"<!-- scores -->\n\n{scores(run)}\n\n{conclusions}\n\n<!-- /scores -->"
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"<!-- scores -->.*<!-- /scores -->", lambda _: block, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")
    shutil.copyfile(PICTURE, "docs/figure_3_covid.png")


def scores(run: pairs.Run) -> str:
    """Print three scores of every row and dataset, on cell types, and how they were computed."""
    lines = []
    for model in dict.fromkeys(pair.model for pair in run.pairs):
        line = [f"`{model}`"]
        for dataset in run.records:
            pair = run.pair(dataset, model)
            line += [
                printing.printed(pair.score(task, "cell_type", metric, split) if pair else None)
                for task, metric, split in SCORES.values()
            ]
        lines.append(line)
    headings = [f"{dataset}, {name}" for dataset in run.records for name in SCORES]
    evaluate = run.params.evaluate
    return (
        captions.filled(
            f"Cell types, seed {run.params.scoring_seed}. Accuracy: {captions.neighbours(run.params)} by "
            f"{captions.DISTANCES[evaluate.metric]}. {captions.split(evaluate.split)} ARI (adjusted Rand index): "
            f"{captions.clustering(run.params)}. {captions.runs(run.params)}"
        )
        + "\n\n"
        + printing.markdown_table(lines, ["Model", *headings], n_left=1)
    )


if __name__ == "__main__":
    main()
