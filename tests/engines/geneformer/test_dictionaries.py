"""Geneformer's dictionaries: pickles that may not run anything, and entries that fit each other."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core.errors import InputError
from genept.engines.geneformer import dictionaries
from tests.engines.geneformer.made import V1, V2, Malicious, small


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"hello", ""),
        (pickle.dumps({"a": 1})[:-3], ""),
        (pickle.dumps([1]), "expected a dictionary from text to int"),
        (pickle.dumps({"ENSG00000000001": Malicious()}), "refused"),
    ],
)
def test_a_damaged_wrong_or_malicious_pickle_is_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(InputError) as error:
        dictionaries.read_pickle(tmp_path / "x.pkl", int)
    assert "x.pkl: " in error.value.message and text in error.value.message
    assert "\n" not in error.value.message and not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("suffix", ["", "_gc30M", "_gc95M", "_gc104M"])
def test_dictionaries_are_found_under_every_name_upstream_gave_them(tmp_path: Path, suffix: str) -> None:
    entries = small(V2, 4)
    dictionaries.write(tmp_path, entries.tokens, entries.medians)
    for kind in ("token_dictionary", "gene_median_dictionary"):
        (tmp_path / f"{kind}.pkl").rename(tmp_path / f"{kind}{suffix}.pkl")
    (tmp_path / f"ensembl_mapping_dict{suffix}.pkl").write_bytes(pickle.dumps({"OLD": "ENSG00000000002"}))
    found = dictionaries.read(tmp_path)
    assert (found.tokens, found.medians, found.version) == (entries.tokens, entries.medians, "V2")
    assert (found.gene("old"), found.gene("ENSG00000000001")) == ("ENSG00000000002", "ENSG00000000001")


def test_written_dictionaries_hold_plain_numbers_and_are_equal_bytes(tmp_path: Path) -> None:
    plain = {"<pad>": 0, "<mask>": 1, "A": 2}
    from_numpy: dict[str, Any] = {entry: np.int64(token) for entry, token in plain.items()}
    dictionaries.write(tmp_path / "one", plain, {"A": 0.5})
    dictionaries.write(tmp_path / "two", from_numpy, {"A": np.float64(0.5)})
    for name in ("token_dictionary.pkl", "gene_median_dictionary.pkl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert b"numpy" not in (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("token", "median", "message"),
    [
        ({"<mask>": 0, "A": 1}, {"A": 1.0}, "must have <pad>"),
        ({**V1, "<cls>": 2, "A": 3}, {"A": 1.0}, "both or none of <cls> and <eos>"),
        ({**V1, "A": 7}, {"A": 1.0}, "without gaps"),
        ({**V1, "A": 2, "B": 3}, {"A": 1.0}, r"1 genes .* no positive median \(B"),
        ({**V1, "A": 2}, {"A": 0.0}, "no positive median"),
        ({**V1, "A": 2}, {"A": float("nan")}, "no positive median"),
    ],
)
def test_dictionaries_that_do_not_fit_are_refused(tmp_path: Path, token: Any, median: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"expected one token_dictionary\*\.pkl, found none"):
        dictionaries.read(tmp_path)
    dictionaries.write(tmp_path, token, median)
    with pytest.raises(InputError, match=message):
        dictionaries.read(tmp_path)
    shutil.copy(tmp_path / "token_dictionary.pkl", tmp_path / "token_dictionary_gc30M.pkl")
    with pytest.raises(InputError, match=r"found token_dictionary\.pkl, token_dictionary_gc30M\.pkl"):
        dictionaries.read(tmp_path)
