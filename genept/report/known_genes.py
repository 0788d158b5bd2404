"""How many genes of each dataset each model of the run does not know, beside what others counted."""

from __future__ import annotations

from tabulate import tabulate

from genept.report.markdown import NONE
from genept.report.paper import Paper
from genept.report.tracked_text import grouped
from genept.report.tracking import Run

EXPLANATION = (
    "Of each dataset and model of this run: genes of the dataset (under HGNC's approved symbols; scGPT is asked for "
    "the file's own, too), those that the model does not know, and their share of all counts. Elsewhere: genes that "
    "the model did not know as others counted, of how many, under the names in their file. Under harmonised names "
    "more genes are found, so ours should be fewer. To GenePT-s every name is a word. Where X holds logarithms, the "
    "share is of their sum."
)


def table(paper: Paper, run: Run) -> str:
    """Print how many genes each model of the run does not know, beside what others counted."""
    elsewhere = {(run.datasets.get(found.dataset), run.models.get(found.model)): found for found in paper.gene_mapping}
    lines = []
    for (dataset, model), pair in run.pairs.items():
        scores = {metric: score.value for (task, _, metric), score in pair.scores.items() if task == "embedding"}
        n_genes, n_missing = scores.get("n_genes"), scores.get("n_genes_missing")
        if not n_genes or n_missing is None:
            continue
        share = scores.get("share_of_counts_missing")
        known = elsewhere.get((dataset, model))
        lines.append(
            [
                *(dataset, model, grouped(int(n_genes)), f"{grouped(int(n_missing))} ({n_missing / n_genes:.1%})"),
                NONE if share is None else f"{share:.1%}",
                f"{known.n_genes_missing:,} of {known.n_genes:,} ({known.by})" if known else NONE,
            ]
        )
    headings = ["Dataset", "Model", "Genes", "Unknown to the model", "Share of counts", "Elsewhere"]
    return tabulate(
        lines, headings, tablefmt="github", disable_numparse=True, colalign=["left"] * 2 + ["right"] * 3 + ["left"]
    )
