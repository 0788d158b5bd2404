"""The view of the paper's numbers: each stands there once, with our run's verdict or folded with the reason."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict

import pytest
from bs4 import BeautifulSoup, Tag

from genept.report import paper, tracking_csv, tracking_rows
from genept.webpage import paper as webpage
from tests.report.vessel import GENES, rows_of, write_pair
from tests.webpage.views import parsed, sources, words

PAPER = paper.load()


def by_section(page: BeautifulSoup) -> dict[str, list[Tag]]:
    """The elements below each heading of a section of the paper."""
    return {
        name: [one for one in heading.find_next_siblings() if one.find_previous_sibling("h3") is heading]
        for name, section in PAPER.sections.items()
        for heading in page("h3")
        if words(heading) == section.title
    }


def judged(page: BeautifulSoup) -> dict[tuple[str, str], tuple[str, list[list[str]]]]:
    """The rows that ran, by section and names: the verdict, and the cells of each number."""
    return {
        (name, words(group.th).partition(":")[0].replace("Labels by", "").strip()): (
            words(found) if (found := group.th.find("strong")) else "",
            [[words(cell) for cell in line(["th", "td"])] for line in group("tr")[1:]],
        )
        for name, elements in by_section(page).items()
        for element in elements
        for group in element.select(".judged tbody")
        if group.th
    }


@pytest.mark.parametrize("run", ["stand_ins", "papers"])
def test_every_number_of_the_paper_stands_once_in_its_section(run: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(run)
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    for number in PAPER.numbers:
        expected[number.section][f"{number.value:.{0 if number.is_count else number.decimals}f}"] += 1
    for name, elements in by_section(parsed(webpage.view)).items():
        paper_cells = ".judged tbody td:nth-of-type(1), details td.number"
        assert Counter(words(cell) for one in elements for cell in one.select(paper_cells)) == expected[name]


@pytest.mark.usefixtures("stand_ins")
def test_without_a_dataset_of_the_paper_all_is_folded_and_the_first_sentence_counts() -> None:
    page = parsed(webpage.view)
    assert not page.select(".judged") and not page.select("details[open]")
    first = words(page.p) if page.p else ""
    assert "301 numbers, 280 are scores in 65 rows, and 21 are counts. Rows: 0 reproduced, 0 inconclusive," in first
    assert "0 not comparable, 65 not run. Counts: 0 equal, 0 differs, 21 not run. Rows judged: 0." in first
    folded = [words(one.summary) for one in page("details") if one.summary]
    assert "aorta: 24 numbers not run: aorta is not in the grid" in folded
    assert all(oddity.title in folded for oddity in PAPER.oddities)


@pytest.mark.usefixtures("papers")
def test_verdicts_and_numbers_are_those_of_the_tracking_table() -> None:
    tracked, page = sources(), parsed(webpage.view)
    lines = csv.DictReader(io.StringIO(tracking_csv.as_csv(tracked.numbers, tracked.rows)))
    expected = Counter(
        (
            *(line[name] for name in ("section", "verdict", "paper", "ours")),
            *(f"{float(line[name]):.3f}" for name in ("mean", "low", "high") if line[name]),
        )
        for line in lines
        if line["ours"]
    )
    found = Counter(
        (section, verdict, *cells[1:4], *cells[4].split(" to ")) if verdict else (section, cells[3], *cells[1:3])
        for (section, _), (verdict, numbers) in judged(page).items()
        for cells in numbers
    )
    assert found == expected and {"reproduced", "not comparable", "equal", "differs"} == {key[1] for key in found}
    n_reproduced = sum(row.verdict.verdict == "reproduced" for row in tracked.rows)
    assert n_reproduced and f"Rows: {n_reproduced} reproduced" in words(page)
    assert f"at most {tracking_rows.expected_false_differs(tracked.rows):.1f} of them" in words(page)


@pytest.mark.usefixtures("papers")
def test_a_second_reading_has_its_own_verdict_and_reasons_are_said() -> None:
    by_reference = [
        one | {"split": "reference", "value": one["value"] - 0.2, "sd": "", "first": "", "n_runs": 1}
        for one in rows_of("cell_type")
        if one["task"] == "knn"
    ]
    write_pair("vessel", "text_w", [*rows_of("cell_type"), *by_reference, *GENES])
    page = parsed(webpage.view)
    found = {names: verdict for (section, names), (verdict, _) in judged(page).items() if section == "table_c4"}
    assert found["cell_type, genept_w, here text_w"] == "differs"
    assert found["cell_type, random split of the query, genept_w, here text_w"] == "reproduced"
    text = words(page)
    assert "differs outside: accuracy, precision_macro" in text and "One row in Table 2 and Table C4" in text
    assert "not comparable released is not comparable: no counts" in text
