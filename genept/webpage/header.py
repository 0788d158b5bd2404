"""The head of the page: the answer, what it rests on, and how to add a dataset or a model."""

from __future__ import annotations

from markupsafe import Markup

from genept.core import origin
from genept.webpage import render
from genept.webpage.sources import Sources


def header(sources: Sources) -> Markup:
    """Return the head of the page."""
    return render.html(
        "header.html",
        sentences=sources.answer,
        chips=chips(sources),
        commit=origin.commit(),
        processor=origin.processor(),
        seed=sources.run.params.scoring_seed,
    )


def chips(sources: Sources) -> list[str]:
    """Count what the run has."""
    run = sources.run
    n_cells = sum(record["cells"]["n_scored"] for record in run.records.values())
    n_scores = sum(len(pair.scores) for pair in run.pairs)
    n_tested = sum(number.ours is not None for number in sources.numbers)
    return [
        f"{len(run.records)} datasets" if len(run.records) > 1 else "one dataset",
        f"{n_cells:,} cells",
        f"{len({pair.model for pair in run.pairs})} rows",
        f"{n_scores:,} scores",
        f"{run.params.evaluate.repeats} runs of each" if run.params.evaluate.repeats > 1 else "one run of each",
        f"{n_tested} of {len(sources.numbers)} numbers of the paper tested",
    ]
