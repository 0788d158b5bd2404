"""A released file that is not what it should be is one line, and runs nothing."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import files
from genept.core.errors import InputError
from genept.engines.genept_w.vectors import released
from tests.engines.genept_w.released.pickled import FILE, MODEL, PATH, draw, run, take, write_params


class Harm:
    """A pickle of this runs a program in whoever reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def refusal(content: Any) -> str:
    PATH.write_bytes(pickle.dumps(content, protocol=4))
    result = run()
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {PATH}: ") and result.output.count("\n") == 1
    assert not MODEL.exists()
    return result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"TP53": [1.0, 2.0], "IL8": [1.0]}, "TP53 has a vector of 2 numbers and IL8 one of 1; all must have one"),
        ({"TP53": [1.0], "IL8": [float("nan")]}, "the vector of IL8 has NaN or infinite numbers"),
        ({"TP53": np.array([np.inf])}, "the vector of TP53 has NaN or infinite numbers"),
        ({"TP53": [1e300]}, "the vector of TP53 has NaN or infinite numbers"),
        ({"TP53": []}, "TP53 has no vector; expected a list or an array of numbers"),
        ({"TP53": "0.1 0.2"}, "TP53 has no vector"),
        ({"TP53": [0.5, "a"]}, "TP53 has no vector"),
        ({"TP53": [True, False]}, "TP53 has no vector"),
        ({"TP53": [[0.5, 1.0]]}, "TP53 has no vector"),
        ({"TP53": None}, "TP53 has no vector"),
        ({"TP53": [2**2000]}, "TP53 has no vector"),
        ({}, "expected a dictionary from gene symbols to vectors"),
        ({7157: [0.5]}, "expected a dictionary from gene symbols to vectors"),
        ([0.5], "expected a dictionary from gene symbols to vectors"),
        ({"tp53-like": [0.5]}, "HGNC knows none of its 1 gene symbols (such as 'tp53-like')"),
        ({**{name.title(): [0.5] for name in ("TP53", "GAPDH", "CXCL8")}, "TP53": [0.5]}, "look like mouse genes"),
        ({"TP53": Harm()}, "refused, the pickle asks to import"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line(project: Path, content: Any, message: str) -> None:
    assert message in refusal(content)
    assert not Path("harmed").exists()


def test_a_file_cut_short_is_one_line_and_leaves_the_earlier_vectors(project: Path) -> None:
    take({"TP53": draw(1)[0]})
    before = files.sha256(MODEL / "vectors.npy")
    PATH.write_bytes(PATH.read_bytes()[:-1000])
    result = run()
    assert result.exit_code == 1 and "not a readable pickle" in result.output and result.output.count("\n") == 1
    assert files.sha256(MODEL / "vectors.npy") == before


def test_a_missing_file_and_a_missing_name_are_said(project: Path) -> None:
    result = run()
    assert result.exit_code == 1 and result.output.startswith(f"Error: {PATH}: no such file; run the stage")
    for vectors in ({"released": None}, {"released": 3}, {"text": "name"}, "random"):
        write_params({"vectors": vectors})
        result = run()
        assert result.exit_code == 2
        assert result.output == (
            "Error: params.yaml: models.ada: vectors.released must be the name of a file in data/encoders/ada\n"
        )


def test_reading_leaves_errors_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(InputError, match="not a readable pickle"):
        released.read(tmp_path / FILE)
