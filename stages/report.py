"""Write the paper's tables for what the grid names, or print them.

Usage: ``python -m stages.report``, ``python -m stages.report --show``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genept.core import files
from genept.core.cli import stage

METRICS = Path("metrics")
TABLES = ("table2", "table_c4", "section_4_4")
TRACKING = "paper_tracking"
BARS = Path("plots/scores.csv")


@click.command()
@click.option("--show", is_flag=True, help="Only print the tables that are there.")
@stage
def main(params: dict[str, Any], show: bool) -> None:
    """Write the tables of all datasets and models that the grid in params.yaml names.

    Table 2 (clusters), Table C4 (cell type by nearest neighbours) and Section 4.4 (patients and phenotypes), each as
    Markdown and as CSV, to metrics/; every number that the paper prints against ours, or the reason why there is none,
    to metrics/paper_tracking.md and .csv; and the headline numbers to plots/scores.csv, for the bar charts of
    `dvc plots`.
    """
    if show:
        for name in TABLES:
            click.echo(table_path(name, "md").read_text(encoding="utf-8"))
        return

    from genept.metrics import choices
    from genept.report import markdown, paper, results, tables, tidy, tracking, tracking_page

    chosen = choices.read(params)
    tolerance = tracking.read_tolerance(params)
    pairs = [results.read(pair) for pair in results.named(params)]
    baseline = (params["grid"].get("figures") or {}).get("baseline", "")
    written = [
        tables.table_2(pairs),
        tables.table_c4(pairs, chosen.k),
        tables.section_4_4(pairs, baseline),
    ]
    records = {dataset: results.read_record(dataset) for dataset in dict.fromkeys(pair.dataset for pair in pairs)}
    labelled_by = {dataset: results.labelled_by(record) for dataset, record in records.items()}
    label_sources = {dataset: str(record["label_source"]) for dataset, record in records.items()}
    texts = {BARS: tidy.scores(pairs)}
    for table in written:
        texts[table_path(table.name, "md")] = markdown.markdown(table, params, labelled_by)
        texts[table_path(table.name, "csv")] = tidy.table(table, label_sources)
    published = paper.load()
    run = tracking.read_run(published, pairs, params)
    rows = tracking.track(published, run, tolerance)
    texts[table_path(TRACKING, "md")] = tracking_page.page(rows, published, run, params, chosen, tolerance)
    texts[table_path(TRACKING, "csv")] = tracking_page.table(rows)
    for path, text in texts.items():
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    click.echo(f"{len(pairs)} pairs of dataset and model: " + ", ".join(map(str, texts)))


def table_path(name: str, suffix: str) -> Path:
    """Path of a table's file."""
    return METRICS / f"{name}.{suffix}"


if __name__ == "__main__":
    main(prog_name="python -m stages.report")
