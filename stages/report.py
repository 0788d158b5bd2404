"""Write the paper's tables for what the grid names, or print the main scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genept.core import files
from genept.core.cli import say, stage
from genept.core.params import Params
from genept.repository import lock

if TYPE_CHECKING:
    from genept.report.pairs import Key, Run
    from genept.report.significance import Differences

METRICS = Path("metrics")
BARS, DIFFERENCES, CURVES = Path("plots/scores.csv"), Path("plots/differences"), Path("plots/curves")
MATRICES = Path("plots/confusion_matrices")
PAGE, SUMMARY = Path("plots/report.html"), "plots/summary_{}.svg"


@click.command()
@click.option("--show", is_flag=True, help="Only print the main scores of the last run, within 80 columns.")
@stage
def main(params: Params, show: bool) -> None:
    """Write the tables of all datasets and models that the grid in params.yaml names.

    The summary, the effect of text, Table 2 (clusters), Table C4 (cell type by nearest neighbours) and Section 4.4
    (patients and phenotypes) go to metrics/ as Markdown and CSV; every number that the paper prints, against ours, to
    metrics/paper_tracking.md and .csv, and counts of verdicts to metrics/verdicts.json; the main scores to
    plots/scores.csv and confusion matrices to plots/confusion_matrices, for `dvc plots`; the differences of all pairs
    of models to plots/differences; ROC and precision-recall curves to plots/curves; the answer in sentences to
    metrics/answer.md and as a picture to plots/summary_light.svg and _dark.svg; all of it to one page,
    plots/report.html.
    """
    from genept.report import (
        answer,
        comparability,
        confusion,
        pairs,
        paper,
        paper_tables,
        printing,
        records,
        score_bars,
        significance,
        terminal,
        text_effect,
        tracking,
        tracking_csv,
        tracking_page,
        tracking_rows,
    )
    from genept.report.summary import summary

    run = comparability.mark(pairs.read(params))
    comparisons = {dataset: significance.read_comparisons(dataset) for dataset in run.records}
    if show:
        click.echo(terminal.screen(run, comparisons))
        if PAGE.is_file():
            click.echo(f"\nRanges, tests, cells, the paper: {PAGE}, which `make show` opens")
        return

    from genept.webpage.build import build
    from genept.webpage.sources import Sources

    texts = {BARS: score_bars.as_csv(run)}
    for make in (summary, paper_tables.table_2, paper_tables.table_c4, paper_tables.section_4_4):
        table = make(run)
        best = printing.best_of(table, run, comparisons)
        texts[METRICS / f"{table.name}.md"] = printing.markdown(table, run, best)
        texts[METRICS / f"{table.name}.csv"] = printing.as_csv(table, run)
    lines = comparability.of_comparable(run, text_effect.read(run.records))
    texts[METRICS / "text_effect.md"] = text_effect.page(lines, run)
    texts[METRICS / "text_effect.csv"] = text_effect.as_csv(lines)
    published = paper.load()
    named = tracking.counterparts(published, run)
    numbers = tracking.track(published, run, named)
    rows = tracking_rows.judge_rows(numbers, published, run)
    texts[METRICS / "paper_tracking.md"] = tracking_page.page(numbers, rows, published, run, named)
    texts[METRICS / "paper_tracking.csv"] = tracking_csv.as_csv(numbers, rows)
    agreements = records.read_agreements(run.records)
    sources = Sources(run, comparisons, lines, published, named, numbers, rows, agreements, lock.read())
    texts[PAGE] = build(sources)
    texts[METRICS / "answer.md"] = answer.markdown(sources.answer, run)
    texts[METRICS / "verdicts.json"] = json.dumps(tracking_rows.counts(rows), indent=2) + "\n"
    draw(run, comparisons)
    with files.replacing_folder(MATRICES) as folder:
        for dataset in run.records:
            if predicted := confusion.read(run, dataset):
                counts = confusion.matrices(dataset, predicted)
                counts.to_csv(folder / f"{dataset}.csv", index=False, lineterminator="\n")
    for path, text in texts.items():
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    say(f"{len(run.pairs)} pairs of dataset and model: {METRICS}/*.md, *.csv, {DIFFERENCES}, {CURVES}")


def draw(run: Run, comparisons: Mapping[str, Mapping[Key, Differences]]) -> None:
    """Draw the pictures of all datasets; a dataset without comparable models or probabilities has none."""
    from genept.plots import page, scores, summary
    from genept.report import main_scores, pictures

    panels = {dataset: main_scores.summary_panels(run, dataset) for dataset in run.records}
    for name, theme in summary.THEMES.items():
        summary.save(summary.draw(panels, main_scores.looks(run), theme), Path(SUMMARY.format(name)))

    with files.replacing_folder(DIFFERENCES) as differences, files.replacing_folder(CURVES) as curves:
        for dataset, record in run.records.items():
            if matrices := pictures.matrices(run, dataset, comparisons[dataset]):
                caption = pictures.difference_caption(run, dataset)
                figure = scores.differences(matrices, f"{record['title']}: differences of models", caption)
                page.save(figure, differences / f"{dataset}.png", has_shades=True)
            if rows := pictures.curves(run, dataset):
                figure = scores.curves(rows, f"{record['title']}: curves", pictures.curve_caption(run, dataset))
                page.save(figure, curves / f"{dataset}.png", has_shades=True)


if __name__ == "__main__":
    main(prog_name="python -m stages.report")
