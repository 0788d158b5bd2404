"""The answer of a run in four sentences, each computed from its results: for the page's header and the README."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from genept.report import captions, printing
from genept.report.pairs import NOT_COMPARABLE, Key, Run, Score
from genept.report.paper import Paper
from genept.report.paper_tables import group_of
from genept.report.significance import AT_FLOOR, NO_TEST, Best, Differences
from genept.report.summary import kinds
from genept.report.table import Column, Group, Table
from genept.report.text_effect import HELPS, HURTS, Line
from genept.report.tracking import NOT_RUN, Counterparts, Tracked
from genept.report.tracking_rows import TrackedRow
from genept.report.verdicts import VERDICTS

ACCURACY = Column("accuracy", "Accuracy", "knn", "accuracy")
SPELLED_OUT = 3  # datasets whose sizes and best models a sentence names one by one
HOW = {"donors": "donors held out", "random": "random split"}


def sentences(
    run: Run,
    comparisons: Mapping[str, Mapping[Key, Differences]],
    effects: Sequence[Line],
    paper: Paper,
    named: Counterparts,
    numbers: Sequence[Tracked],
    rows: Sequence[TrackedRow],
) -> list[str]:
    """Say what was tested on what, which model is the most accurate, what text adds, and what it says of the paper.

    Names are between backticks. A sentence for which the run has nothing is left out.
    """
    texts = [
        tested(run),
        most_accurate(run, comparisons),
        effect_of_text(effects),
        of_the_paper(paper, named, numbers, rows),
    ]
    return [text for text in texts if text]


def tested(run: Run) -> str:
    """Say which rows were scored on which cells, and of what kind they are."""
    n = {kind: len([name for name in names if name in scored(run)]) for kind, names in kinds(run).items()}
    counted = [(n["models"], "model"), (n["controls"], "control"), (n["fine-tuned"], "fine-tuned head")]
    what = joined(f"{number} {noun}{'s' if number > 1 else ''}" for number, noun in counted if number)
    were = "was" if sum(n.values()) == 1 else "were"
    datasets = joined(f"`{dataset}` ({sizes(run, dataset)})" for dataset in run.records)
    if len(run.records) > SPELLED_OUT:
        n_cells = sum(record["cells"]["n_scored"] for record in run.records.values())
        datasets = (
            f"{len(run.records)} datasets ({n_cells:,} cells): {joined(f'`{dataset}`' for dataset in run.records)}"
        )
    stand_ins = [f"`{dataset}`" for dataset, record in run.records.items() if not record.get("paper")]
    origin = f"; {joined(stand_ins)} {'are' if len(stand_ins) > 1 else 'is'} not of the paper" if stand_ins else ""
    return f"{what} {were} scored on {datasets}{origin}."


def scored(run: Run) -> set[str]:
    """Return the names of all rows."""
    return {pair.model for pair in run.pairs}


def sizes(run: Run, dataset: str) -> str:
    """Count the cells, donors and cell types of a dataset that are scored."""
    record = run.records[dataset]
    labels = {name: of_label["n_labels_scored"] for name, of_label in record["annotations"].items()}
    nouns = (("patient", "donor"), ("cell_type", "cell type"))
    named = [f"{labels[name]:,} {noun}{'s' * (labels[name] != 1)}" for name, noun in nouns if name in labels]
    return ", ".join([f"{record['cells']['n_scored']:,} cells", *named])


def most_accurate(run: Run, comparisons: Mapping[str, Mapping[Key, Differences]]) -> str:
    """Name the models and controls whose accuracy no test tells from the highest, by the strictest split with a test.

    What is fine-tuned and `supervised` have learned from labels and do not compete. Of many datasets, count on how many
    each is among them.
    """
    found = {dataset: best for dataset in run.records if (best := best_on(run, dataset, comparisons))}
    if not found:
        return ""
    if len(run.records) > SPELLED_OUT:
        often = Counter(model for best in found.values() for model in best.scores)
        named = joined(f"`{model}` on {n}" for model, n in often.most_common()) or "none"
        return f"Among the most accurate models and controls, of {len(found)} datasets: {named}."
    named = "; ".join(f"on `{dataset}`, {best.split}, {best.printed}" for dataset, best in found.items())
    return f"Highest accuracy of cell types among models and controls: {named}."


class Highest(NamedTuple):
    """The split that decides, and the scores that no test tells from the highest, the highest first."""

    split: str
    scores: dict[str, Score | None]

    @property
    def printed(self) -> str:
        """The models with their scores."""
        if not self.scores:
            return f"none, since {AT_FLOOR}"
        names = joined(f"`{model}` {printing.printed(score)}" for model, score in self.scores.items())
        return f"{names}, which no test tells apart" if len(self.scores) > 1 else names


def best_on(run: Run, dataset: str, comparisons: Mapping[str, Mapping[Key, Differences]]) -> Highest | None:
    """Find the most accurate models of one dataset by the strictest split that has a test; None without a test."""
    why = ""  # a stricter split decides nothing
    for split, how in HOW.items():
        group = group_of(run, dataset, "cell_type", split, "", [ACCURACY])
        best = best_of(group, run, comparisons)
        if best.models or best.problem == AT_FLOOR:
            rows = sorted(group.rows, key=lambda row: -((row.scores[0] and row.scores[0].value) or 0))
            return Highest(how + why, {row.model: row.scores[0] for row in rows if row.model in best.models})
        if best.problem.startswith(NO_TEST):
            why = f" ({best.problem})"
    return None


def best_of(group: Group, run: Run, comparisons: Mapping[str, Mapping[Key, Differences]]) -> Best:
    """Find the best models of a group with one column."""
    table = Table("", "", "", group.columns, (), [group])
    return printing.best_of(table, run, comparisons)[0][0]


def effect_of_text(effects: Sequence[Line]) -> str:
    """Count the scores in which text is better than every control; it helps only there. Then each comparison."""
    results: dict[str, list[str]] = {}
    beaten: dict[tuple[str, ...], bool] = {}  # by score: whether all controls are
    for line in effects:
        results.setdefault(line.versus, []).append(line.result)
        if line.n_draws is not None:  # a control
            score = line.dataset, line.annotation, line.metric, line.setting
            beaten[score] = beaten.get(score, True) and line.result == HELPS
    compared = "; ".join(
        f"than `{versus}` better in {some.count(HELPS)}, worse in {some.count(HURTS)}"
        for versus, some in results.items()
    )
    if not beaten:
        return f"Without a control nothing is said of text ({compared} of {len(effects)} scores)." if effects else ""
    n, n_beaten = len(beaten), sum(beaten.values())
    begin = "Text helps" if n_beaten == n else "Text helps in some scores" if n_beaten else "Text does not help"
    return f"{begin}: `{effects[0].text}` is better than every control in {n_beaten} of {n} scores ({compared})."


def of_the_paper(paper: Paper, named: Counterparts, numbers: Sequence[Tracked], rows: Sequence[TrackedRow]) -> str:
    """Say how many of the paper's numbers were tested with which verdicts, and what may not be concluded."""
    tested = sum(number.ours is not None for number in numbers)
    missing = [name for name in paper.datasets if name not in named.datasets]
    if not tested:
        return (
            f"None of the paper's {len(numbers)} numbers was tested, since no dataset and model of the run are the "
            "paper's: nothing follows for its datasets, its text vectors or the released models."
        )
    count = Counter(row.verdict.verdict for row in rows)
    judged = joined(f"{count[verdict]} {verdict}" for verdict in (*VERDICTS, NOT_RUN) if count[verdict])
    rest = f" Nothing follows for {joined(missing)}, which were not run." if missing else ""
    were = "was" if tested == 1 else "were"
    return f"{tested} of the paper's {len(numbers)} numbers {were} tested; of its {len(rows)} rows: {judged}.{rest}"


def joined(texts: Iterable[str]) -> str:
    """Join texts with commas and a final "and"."""
    *first, last = list(texts) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def markdown(texts: Iterable[str], run: Run) -> str:
    """Write the sentences and one small table: accuracies with donors held out, else of random splits."""
    rows = []
    for model in dict.fromkeys(pair.model for pair in run.pairs):
        scores = [accuracy(run, dataset, model) for dataset in run.records]
        marks = {"" if run.is_comparable(dataset, model) else f", {NOT_COMPARABLE}" for dataset in run.records}
        rows.append([f"`{model}`{max(marks)}", *(printing.printed(score) for score in scores)])
    evaluate = run.params.evaluate
    caption = (
        f"Accuracy of cell types by {captions.neighbours(run.params)} ({captions.DISTANCES[evaluate.metric]}), seed "
        f"{run.params.scoring_seed}. {captions.split(run.applied.evaluate.split)} {captions.runs(run.applied)}"
        f"{''.join(f' {text}' for text in captions.samples(run))}"
    )
    headings = [f"{dataset}, {HOW[strictest(run, dataset)]}" for dataset in run.records]
    blocks = [
        "\n".join(captions.filled(text, bullet="- ") for text in texts),
        printing.markdown_table(rows, ["Model", *headings], n_left=1),
        captions.filled(caption),
    ]
    return "\n\n".join(blocks) + "\n"


def accuracy(run: Run, dataset: str, model: str) -> Score | None:
    """Return a row's accuracy by the strictest split of a dataset."""
    pair = run.pair(dataset, model)
    return pair.score("knn", "cell_type", "accuracy", strictest(run, dataset)) if pair else None


def strictest(run: Run, dataset: str) -> str:
    """Return ``donors`` where some row was scored with donors held out, else ``random``."""
    keys = (key for pair in run.pairs if pair.dataset == dataset for key in pair.scores)
    return "donors" if ("knn", "cell_type", "donors", "accuracy") in keys else "random"
