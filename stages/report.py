"""Write the paper's tables for what the grid names, or print them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from genept.core import files
from genept.core.cli import stage
from genept.core.params import Params

METRICS = Path("metrics")
TABLES = ("table2", "table_c4", "section_4_4")
BARS = Path("plots/scores.csv")


@click.command()
@click.option("--show", is_flag=True, help="Only print the tables of the last run, within 80 columns.")
@stage
def main(params: Params, show: bool) -> None:
    """Write the tables of all datasets and models that the grid in params.yaml names.

    Table 2 (clusters), Table C4 (cell type by nearest neighbours) and Section 4.4 (patients and phenotypes) go to
    metrics/ as Markdown and CSV; every number that the paper prints, against ours, to metrics/paper_tracking.md and
    .csv, the counts of verdicts to metrics/verdicts.json; the headline scores to plots/scores.csv, for the bar charts
    of `dvc plots`.
    """
    from genept.report import pairs, paper, paper_tables, printing, tracking, tracking_csv, tracking_page, tracking_rows

    if show:
        shown = [printing.terminal((METRICS / f"{name}.md").read_text(encoding="utf-8")) for name in TABLES]
        click.echo("\n".join(shown) + f"\nMore: {', '.join(str(METRICS / f'{name}.md') for name in TABLES)}")
        return

    run = pairs.read(params)
    texts = {BARS: printing.headline_csv(run.pairs)}
    for table in (paper_tables.table_2(run), paper_tables.table_c4(run), paper_tables.section_4_4(run)):
        texts[METRICS / f"{table.name}.md"] = printing.markdown(table, run)
        texts[METRICS / f"{table.name}.csv"] = printing.as_csv(table, run)
    published = paper.load()
    named = tracking.counterparts(published, run)
    numbers = tracking.track(published, run, named)
    rows = tracking_rows.judge_rows(numbers, published, run)
    texts[METRICS / "paper_tracking.md"] = tracking_page.page(numbers, rows, published, run, named)
    texts[METRICS / "paper_tracking.csv"] = tracking_csv.as_csv(numbers, rows)
    texts[METRICS / "verdicts.json"] = json.dumps(tracking_rows.counts(rows, numbers), indent=2) + "\n"
    for path, text in texts.items():
        with files.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    click.echo(f"{len(run.pairs)} pairs of dataset and model: {', '.join(map(str, texts))}")


if __name__ == "__main__":
    main(prog_name="python -m stages.report")
