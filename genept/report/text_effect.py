"""``metrics/text_effect``: whether text beats controls and expression, by score and distance, and in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from genept.core.params import Params
from genept.core.readers import Reader, count, number, optional, read_table, rows_of
from genept.report import captions, glossary
from genept.report.captions import escaped, filled
from genept.report.pairs import Run
from genept.report.printing import NONE, csv_text, decimals, interval, items, markdown_table, three
from genept.report.significance import COMPARISONS, LEVEL

METRICS = {"accuracy": "accuracy", "f1_macro": "F1", "ari": "ARI"}
SETTINGS = {
    "cosine": "cosine",
    "centred_cosine": "centred cosine",
    "euclidean": "euclidean",
    "minibatch k-means": "mini-batch k-means",
}
HELPS, HURTS, NO_DIFFERENCE, NO_TEST = "helps", "hurts", "no difference", "no test"
COLUMNS = (
    *("dataset", "annotation", "metric", "setting", "text", "value", "versus", "value_versus"),
    *("difference", "low", "high", "p", "p_min", "n_draws", "result"),
)


class Line(NamedTuple):
    """The score of text less that of a control or of the baseline, with its 95 % interval.

    `p_min` is the smallest p that as many draws of a control (`n_draws`) can give; None for the baseline.
    """

    dataset: str
    annotation: str
    metric: str
    setting: str  # a distance, or an algorithm of k-means
    text: str
    value: float | None
    versus: str
    value_versus: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_min: float | None
    n_draws: int | None

    @property
    def result(self) -> str:
        """What the interval says: all above 0, all below, or neither."""
        if self.low is None or self.high is None:
            return NO_TEST
        return HELPS if self.low > 0 else HURTS if self.high < 0 else NO_DIFFERENCE


def read(datasets: Iterable[str]) -> list[Line]:
    """Read the lines of all datasets."""
    columns: dict[str, Reader] = {
        **dict.fromkeys(("annotation", "metric", "setting", "text", "versus"), str),
        **dict.fromkeys(("value", "value_versus", "difference", "low", "high", "p", "p_min"), optional(number)),
        "n_draws": optional(lambda text: count(text.removesuffix(".0"))),  # of a column with empty fields
    }
    return [
        Line(dataset, **{name: row[name] for name in columns})
        for dataset in datasets
        for row in rows_of(read_table(COMPARISONS / dataset / "text.csv", columns, f"evaluate@{dataset}"))
    ]


def as_csv(lines: Iterable[Line]) -> str:
    """Write all lines as CSV, with their results."""
    return csv_text(COLUMNS, ([printed(getattr(line, name)) for name in COLUMNS] for line in lines))


def printed(value: str | float | int | None) -> str | int | None:
    """Print a field of the CSV file."""
    return decimals(value) if isinstance(value, float) else value


def page(lines: Sequence[Line], run: Run) -> str:
    """Write the page: a sentence for each comparison and dataset, what the numbers are, and the table."""
    title = "# The effect of text"
    if not lines:
        lacking = f"The run has no GenePT-w model to compare with a control or with `{run.params.baseline}`"
        return f"{title}\n\n{lacking}, or the model misses most of the counts.\n"
    datasets, versus = (list(dict.fromkeys(getattr(line, key) for line in lines)) for key in ("dataset", "versus"))
    rows = []
    group: tuple[str, ...] = ()
    for line in sorted(lines, key=lambda line: (datasets.index(line.dataset), versus.index(line.versus))):
        now = line.dataset, f"`{line.text}` less `{line.versus}`"
        numbers = [three(line.value), three(line.value_versus)]
        difference = f"{three(line.difference)}{interval(line.low, line.high)}"
        rows.append(
            [*(("", "") if now == group else now), score(line), *numbers, difference, short(line.p), line.result]
        )
        group = now
    headings = ["Dataset", "Compared", "Score", "Text", "Other", "Difference", "p", "Result"]
    models = items(escaped(f"`{name}`: {run.model_title(name)}") for name in [lines[0].text, *versus])
    blocks = [
        title,
        "\n".join(filled(text, bullet="- ") for text in sentences(lines)),
        filled(" ".join([explain(run.params), *samples(run)])),
        markdown_table(rows, headings, n_left=3, n_right=1),
        "Models:",
        models,
        *map(filled, glossary.terms(models)),
    ]
    return "\n\n".join(blocks) + "\n"


def score(line: Line) -> str:
    """Name the score of a line and its setting."""
    return f"{METRICS.get(line.metric, line.metric)}, {SETTINGS.get(line.setting, line.setting)}"


def samples(run: Run) -> list[str]:
    """Say which comparisons are on samples of a large dataset."""
    most = run.params.evaluate.sample.test_cells
    return [
        f"`{dataset}`: on a sample drawn by seed, at most {most:,} of {run.n_scored(dataset):,} cells, the same for "
        "all rows; the intervals hold for these cells and do not contain the sample's error."
        for dataset in run.records
        if run.sampled(dataset)
    ]


def explain(params: Params) -> str:
    """Say what the numbers are."""
    splits = captions.count(params.evaluate.repeats, "random split")
    return (
        f"Scores of cell types: accuracy and macro F1 by {captions.neighbours(params)} over {splits}, by the distance "
        "named (cosine is the authors'; centred: the mean of all cells is subtracted first); ARI (adjusted Rand index) "
        "over seeds of mini-batch k-means, the authors', and of full k-means. Difference: text less the other, in "
        "brackets its 95 % interval: for a control where one more draw of its gene vectors would put it, for "
        f"`{params.baseline}` by the corrected t over splits, or by t over seeds. p: the share of draws and text "
        "that score at least as high as text; for the baseline two-sided, of the t-test. Text helps if the "
        "interval is above 0, and hurts if it is below."
    )


def sentences(lines: Sequence[Line]) -> list[str]:
    """Conclude, for each comparison: over all datasets if there are several, then for each."""
    texts = []
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    for versus in dict.fromkeys(line.versus for line in lines):
        some = [line for line in lines if line.versus == versus]
        if len(datasets) > 1:
            texts.append(f"All datasets, `{some[0].text}` less `{versus}`: {conclusion(some, briefly=True)}")
        for dataset in datasets:
            if own := [line for line in some if line.dataset == dataset]:
                texts.append(f"`{dataset}`, `{own[0].text}` less `{versus}`: {conclusion(own)}{limit(own)}")
    return texts


def conclusion(lines: Sequence[Line], briefly: bool = False) -> str:
    """Say whether text helps in all lines, in none, or on what it depends, and which lines say what."""
    by_result = {result: [line for line in lines if line.result == result] for result in (HELPS, HURTS, NO_DIFFERENCE)}
    counts = ", ".join(f"{result} in {len(some)}" for result, some in by_result.items() if some)
    n = len([line for some in by_result.values() for line in some])
    if not n:
        return "no test is possible."
    if len(by_result[HELPS]) == n:
        return f"text helps, by all {n} scores."
    if not by_result[HELPS]:
        return f"text does not help ({counts} of {n} scores)."
    on = depends_on([line for line in lines if line.result != NO_TEST])
    said = (
        f"{counts} of {n} scores"
        if briefly
        else "; ".join(f"{result}: {named(some)}" for result, some in by_result.items() if some)
    )
    return f"whether text helps depends on {on} ({said})."


def depends_on(lines: Sequence[Line]) -> str:
    """Name what it depends on whether text helps: the distance, the clustering, else the score or the dataset."""
    helps: dict[tuple[str, str], set[bool]] = {}
    for line in lines:
        helps.setdefault((line.metric, line.dataset), set()).add(line.result == HELPS)
    mixed = {metric for (metric, _), found in helps.items() if len(found) > 1}
    by_line: dict[tuple[str, str], set[bool]] = {}
    for line in lines:
        by_line.setdefault((line.metric, line.setting), set()).add(line.result == HELPS)
    reasons = ["the distance"] if mixed - {"ari"} else []
    reasons += ["the clustering"] if "ari" in mixed else []
    reasons += ["the dataset"] if any(len(found) > 1 for found in by_line.values()) and reasons else []
    if not reasons:
        by_dataset = {dataset: {helps[key] == {True} for key in helps if key[1] == dataset} for _, dataset in helps}
        reasons = ["the score"] if any(len(found) > 1 for found in by_dataset.values()) else ["the dataset"]
    return " and on ".join(reasons)


def named(lines: Sequence[Line]) -> str:
    """Name lines by score and setting: "accuracy and F1 by cosine, ARI by full k-means"."""
    by_setting: dict[str, list[str]] = {}
    for line in lines:
        setting = SETTINGS.get(line.setting, line.setting)
        by_setting.setdefault(setting, []).append(METRICS.get(line.metric, line.metric))
    return ", ".join(f"{' and '.join(metrics)} by {setting}" for setting, metrics in by_setting.items())


def limit(lines: Sequence[Line]) -> str:
    """Say which p is the smallest possible, where the number of draws keeps every p above `LEVEL`."""
    limits = {(line.p_min, line.n_draws) for line in lines if line.p_min is not None and line.p_min > LEVEL}
    return "".join(f" With {n} draws no p can be below {short(p)}." for p, n in sorted(limits, key=str))


def short(p: float | None) -> str:
    """Print a p-value with three decimals and without the zero before the point."""
    return NONE if p is None else "<.001" if p < 0.0005 else f"{p:.3f}".removeprefix("0")
