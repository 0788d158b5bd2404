"""Files that stages hand each other: whatever stands in their place is one line, and reserves no memory."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import readers
from genept.core.errors import InputError
from genept.data import embeddings

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)
IDS = list("abcd")


def saved(matrix: np.ndarray, **options: Any) -> bytes:
    with io.BytesIO() as stream:
        np.save(stream, matrix, **options)
        return stream.getvalue()


def declared(shape: str, descr: str = "<f4", content: bytes = MATRIX.tobytes()) -> bytes:
    """A file whose header says what it likes."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "(empty)"),
        (b"\n<!doctype html><html>", "(a web page, not the file itself)"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "(a pointer of Git LFS, not the file itself)"),
        (b"PK\x03\x04" * 9, "the magic string is not correct"),
        (saved(MATRIX)[:-1], "mmap length is greater than file size"),
        (saved(MATRIX) + b"0", "more bytes than its header declares"),
        (saved(np.array([{}, 1], dtype=object), allow_pickle=True), "Python objects in dtype"),
        (saved(MATRIX.astype(float)), "float64 instead of float32"),
        (saved(MATRIX.astype(">f4")), ">f4 instead of float32"),
        (saved(np.array(["a"])), "<U1 instead of float32"),
        (saved(np.where(MATRIX == 5, np.nan, MATRIX)), "NaN or infinite numbers in it"),
        (saved(np.array("inf", dtype=np.float32)), "NaN or infinite numbers in it"),
        (declared("(1000000, 30000)"), "mmap length is greater than file size"),
        (declared("(4294967296, 4294967296)"), "array is too big"),
        (declared(f"({10**30}, 5)"), "too large"),
        (declared("(-1, 3)"), "negative dimensions"),
        (declared("(4, 3"), "EOF in multi-line statement"),
        (declared("(True, 3)"), "an integer is required"),
        (declared("(4, 3)", "<q99"), "descr is not a valid dtype descriptor"),
        (declared("(" * 999), "EOF in multi-line statement"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_damaged_matrix_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.npy"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        readers.read_matrix(path, "make it again")
    assert message in error.value.message, error.value.message
    assert error.value.message.startswith(f"{path}: not a readable matrix (") and "\n" not in error.value.message
    assert error.value.message.endswith("; make it again")


@pytest.mark.parametrize("matrix", [MATRIX, np.asfortranarray(MATRIX), MATRIX[:0], np.stack([MATRIX, MATRIX])])
def test_a_whole_matrix_is_mapped(tmp_path: Path, matrix: np.ndarray) -> None:
    np.save(tmp_path / "m.npy", matrix)
    found = readers.read_matrix(tmp_path / "m.npy", "")
    assert isinstance(found, np.memmap) and np.array_equal(found, matrix)


@pytest.mark.parametrize("read", [readers.read_foreign, lambda path: readers.read_matrix(path, "")])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(InputError, match=f"{path}: is a (folder|pipe)"):
            read(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff{}", b"[" * 100_000, b"1" * 5000, b"version https://git-lfs", b"[]"]
)
def test_damaged_json_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json: (not readable as JSON|expected a JSON object)") as error:
        readers.read_foreign(tmp_path / "a.json")
    assert "\n" not in error.value.message and len(error.value.message) < 300


def matrix(values: np.ndarray) -> Callable[[], object]:
    return lambda: np.save("data/blood/embeddings/m.npy", values)


def notes(**changes: Any) -> Callable[[], object]:
    path = Path("data/blood/embeddings/m.json")
    return lambda: path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


TUNED = {"base": "b", "annotation": "cell_type", "finetune": {}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (matrix(MATRIX[:3]), "has shape (3, 3), its notes say (4, 3); `python -m stages.embed blood m` makes it anew"),
        (matrix(MATRIX[:, :2].copy()), "has shape (4, 2), its notes say (4, 3)"),
        (matrix(MATRIX[None]), "has shape (1, 4, 3), its notes say (4, 3)"),
        (matrix(MATRIX.astype(np.float16)), "float16 instead of float32"),
        (notes(n_draws=2), "has shape (4, 3), its notes say (2, 4, 3)"),
        (notes(n_draws=0), "m.json: n_draws: should be greater than 0"),
        (notes(n_cells=5), "its notes say (5, 3)"),
        (notes(n_cells="4"), "m.json: n_cells: should be a valid integer, got '4'"),
        (notes(cell_ids_sha256=None), "m.json: cell_ids_sha256: "),
        (notes(model="other"), "m.json: of other on blood; `python -m stages.embed blood m` makes it anew"),
        (notes(comparable="no"), "m.json: comparable: should be a valid boolean"),
        (notes(reason=["x"]), "m.json: reason: should be a valid string"),
        (notes(reason="a\nb"), "m.json: reason: "),
        (notes(share_of_counts_missing=1.5), "m.json: share_of_counts_missing: should be less than or equal to 1"),
        (notes(base="b"), "m.json: base is of a fine-tuned embedding, which has base, annotation, finetune, unseen_c"),
        (notes(**TUNED, unseen_cells=[0, 4]), "unseen_cells should be rows of the 4 cells, in order, each once"),
        (notes(**TUNED, unseen_cells=[1, 1]), "unseen_cells should be rows of the 4 cells"),
        (notes(**TUNED, unseen_cells=[-1]), "m.json: unseen_cells.0: should be greater than or equal to 0"),
        (lambda: Path("data/blood/embeddings/m.json").write_text("[]"), "m.json: expected a JSON object, not list"),
    ],
)
def test_an_embedding_that_is_not_what_its_notes_say_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    embeddings.write("blood", "m", MATRIX, IDS, {})
    assert np.array_equal(embeddings.read("blood", "m", IDS), MATRIX)
    change()
    with pytest.raises(InputError) as error:
        embeddings.read("blood", "m", IDS)
    assert message in error.value.message and "\n" not in error.value.message, error.value.message
