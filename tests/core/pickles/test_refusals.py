"""Whatever is not plain content is refused and never run; what is damaged is one line."""

from __future__ import annotations

import collections
import datetime
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core import pickles
from genept.core.errors import InputError
from tests.core.pickles.reading import load, refusal


class Harm:
    """A pickle of this runs a program in whoever reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"TP53": [0.1, x]}, lambda x: {x: 1}])
def test_a_program_is_refused_and_does_not_run(read: Callable[..., Any], protocol: int, wrap: Any) -> None:
    with pytest.raises(InputError, match=r"x\.pkl: refused, the pickle asks to import (posix|nt)\.system"):
        read(pickle.dumps(wrap(Harm()), protocol=protocol))
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "asks to import builtins.eval"),
        (b"(S'touch harmed'\nios\nsystem\n.", "asks to import os.system"),
        (b"(cos\nsystem\nS'touch harmed'\no.", "asks to import os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks to import os.system"),
        (b"cnumpy\nload\n.", "asks to import numpy.load"),
        (b"c_codecs\ndecode\n.", "asks to import _codecs.decode"),
        (b"cnumpy\ndtype\n.", "asks to import numpy.dtype"),
        (b"cnumpy\ndtype\n(S'f8'\ntR.", "asks to import numpy.dtype"),
        (b"(cbuiltins\nbytes\nI1\nt.", "asks to import builtins.bytes"),
        (b"Pname\n.", "uses the instruction PERSID"),
        (b"\x82\x01.", "uses the instruction EXT1"),
        (b"\x80\x05\x97.", "uses the instruction NEXT_BUFFER"),
        (pickle.dumps({1, 2}, protocol=4), "uses the instruction EMPTY_SET"),
        (pickle.dumps(1j), "asks to import builtins.complex"),
        (pickle.dumps(collections.OrderedDict()), "asks to import collections.OrderedDict"),
        (pickle.dumps(datetime.date(2023, 10, 16)), "asks to import datetime.date"),
        (b"]2a.", "nests deeper than 64, or within itself"),
        (b"}q\0S'a'\nh\0s.", "nests deeper than 64, or within itself"),
        (b"c" + b"a" * 10_000 + b"\nb\n.", "asks to import a"),
    ],
)
def test_what_is_not_plain_is_refused(read: Callable[..., Any], file: Path, content: bytes, what: str) -> None:
    assert refusal(content, file).startswith(f"refused, the pickle {what}")
    assert not Path("harmed").exists()


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.ones((1, 1)), np.array(1.0)], ids=["2-d", "1 x 1", "0-d"])
def test_arrays_of_other_dimensions_are_said(file: Path, array: np.ndarray) -> None:
    assert "more or less than one dimension" in refusal(pickle.dumps({"a": array}, protocol=4), file)


@pytest.mark.parametrize("kind", ["?", "S3", "U3", "c16", "M8[s]", "O"])
def test_arrays_of_other_types_are_said(file: Path, kind: str) -> None:
    for protocol in (2, 5):
        message = refusal(pickle.dumps(np.zeros(2, dtype=kind), protocol=protocol), file)
        assert "is no number" in message or "refused" in message


def test_nesting_is_bounded_and_any_depth_is_read_in_time(file: Path) -> None:
    for deepest, opened in ((pickles.MAX_DEPTH, False), (pickles.MAX_DEPTH + 1, True), (200_000, True)):
        content = b"]" * deepest + b"a" * (deepest - 1) + b"."
        if opened:
            assert "nests deeper" in refusal(content, file)
        else:
            found, depth = load(file, content), 1
            while found:
                (found,), depth = found, depth + 1
            assert depth == deepest


def test_a_list_doubled_again_and_again_takes_no_time(file: Path) -> None:
    found = load(file, b"]" + b"2\x86" * 60 + b".")
    assert type(found) is tuple and found[0] is found[1]
    assert "tuple as a key" in refusal(b"})" + b"2\x86" * 60 + b"Ns.", file)
    assert "tuple as a key" in refusal(b"})" + b"\x85" * 200_000 + b"Ns.", file)
    assert "without a name" in refusal(b")" + b"\x85" * 200_000 + b"S'a'\n\x93.", file)
    assert "no numpy type" in refusal(b"cnumpy\ndtype\n)" + b"\x85" * 200_000 + b"\x85R.", file)


HUGE = struct.pack("<Q", 2**62)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"hello",
        b"\x80\x07N.",
        b"\xff.",
        *(opcode + HUGE for opcode in (b"\x8d", b"\x8e", b"\x95", b"\x96")),
        *(opcode + HUGE[4:] for opcode in (b"X", b"B", b"\x8b", b"T")),
        b"\x8b\xff\xff\xff\xff.",
        b"T\xff\xff\xff\xff.",
        b"I" + b"1" * 10_000 + b"\n.",
        b"Iseven\n.",
        b"S'open\n.",
        b"S'\\x'\n.",
        b"X\x01\0\0\0\xff.",
        b"G\0\0.",
        b"(a.",
        b"Na.",
        b"NNa.",
        b"NNNs.",
        b"}(Nu.",
        b"}]Ns.",
        b"t.",
        b"1.",
        b"0.",
        b"2.",
        b"q\0.",
        b"h\0.",
        b"NNR.",
        b"NNb.",
        b"cnumpy\nndarray\n)R.",
        b"cnumpy\ndtype\n(S'f8'\ntR]b.",
        b"cnumpy.core.multiarray\nscalar\n(S'f8'\nS'12345678'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I99999999\ntcnumpy\ndtype\n(S'f8'\ntRI00\nC\x08\0\0\0\0\0\0\0\0tb.",
        b"cnumpy.core.numeric\n_frombuffer\n(C\x07\0\0\0\0\0\0\0cnumpy\ndtype\n(S'f8'\ntR(I1\ntS'C'\ntR.",
        b"c_codecs\nencode\n(X\x01\0\0\0aS'rot13'\ntR.",
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_a_damaged_pickle_is_one_line(file: Path, content: bytes, pack: bool) -> None:
    assert refusal(content, file, pack=pack).startswith("not a readable pickle (")


def test_a_number_of_the_memo_takes_no_memory(file: Path) -> None:
    assert load(file, b"Nr\xff\xff\xff\xff.") is None  # a table up to that number would take 32 GB


def test_decoding_the_same_again_and_again_does_not_exhaust_the_memory(file: Path) -> None:
    text = b"X" + struct.pack("<I", 10_000) + b"a" * 10_000
    content = b"(c_codecs\nencode\nq\0" + text + b"X\x06\0\0\0latin1\x86q\1" + b"h\0h\1R" * 1000 + b"t."
    assert "decodes to far more than it holds" in refusal(content, file)


WHOLE = pickle.dumps(
    {"TP53": [0.5] * 40, "A2M": [np.float64(1), 2, -3.0], "CD19": np.arange(4.0), "b": (b"x", "é", None, 2**70)},
    protocol=4,
)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_cut_short_anywhere_is_one_line(file: Path, protocol: int) -> None:
    whole = pickle.dumps(pickle.loads(WHOLE), protocol=protocol)
    for length in range(len(whole)):
        assert refusal(whole[:length], file, pack=bool(length % 2)).startswith("not a readable pickle (")


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_changed_byte_is_read_or_is_one_line(file: Path, place: int, byte: int, pack: bool) -> None:
    changed = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        load(file, changed, pack=pack)
    except InputError as error:
        assert "\n" not in error.message


@given(st.binary(max_size=60), st.booleans())
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_read_or_are_one_line(file: Path, content: bytes, pack: bool) -> None:
    try:
        load(file, content, pack=pack)
    except InputError as error:
        assert "\n" not in error.message


def test_a_missing_file_is_left_to_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pickles.load(tmp_path / "none.pkl")
