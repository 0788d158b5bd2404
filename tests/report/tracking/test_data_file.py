"""The file of the paper's numbers: whole, in range, with its origin."""

from __future__ import annotations

import copy

import pytest
import yaml

from genept.core.errors import InputError
from genept.report import paper, tracking
from tests.report.tracking.source import SOURCE


@pytest.mark.parametrize("damage", ["sections: {}\n", "citation: a\n", "sections: [1]\n"])
def test_a_damaged_data_file_is_one_line(tmp_path, damage):
    path = tmp_path / "paper.yaml"
    path.write_text(damage)
    with pytest.raises(InputError, match=r"paper\.yaml: not the paper's numbers"):
        paper.load(path)


def test_a_row_with_too_few_numbers_is_refused(tmp_path):
    content = copy.deepcopy(SOURCE)
    content["sections"]["table2"]["tables"][0]["values"]["bones"]["cell_type"]["scgpt"].pop()
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="not the paper's numbers"):
        paper.load(path)


def test_every_block_says_where_it_was_read_and_when():
    for block in [*SOURCE["sections"].values(), *SOURCE["evidence"].values()]:
        assert block["read_from"]
        assert (block["transcription"], str(block["date"])) == ("second-hand", "2026-11")
    assert "doi:10.1101/2023.10.16.562533" in SOURCE["citation"]


def test_numbers_are_in_their_range():
    for number in paper.load().numbers:
        if number.task in tracking.OF_COUNTS:
            assert number.value == int(number.value) > 0
        else:
            assert -0.5 <= number.value <= 1, number
            assert number.model in (*SOURCE["models"], "ensemble")
