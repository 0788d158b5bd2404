"""Pickles of others: plain content comes back as it was, anything else is refused and never run."""

from __future__ import annotations

import collections
import datetime
import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages import pickles
from stages.errors import InputError

PROTOCOLS = st.integers(0, pickle.HIGHEST_PROTOCOL)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
KEYS = NUMBERS | st.text() | st.binary() | st.tuples(st.text(), st.integers())
PLAIN = st.recursive(
    NUMBERS | st.text() | st.binary() | st.lists(st.floats(), min_size=5),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=30,
)
KINDS = [np.dtype(f"{order}{kind}{size}") for order in "<>" for kind in "iuf" for size in (2, 4, 8)] + [
    np.dtype("i1"),
    np.dtype("u1"),
]


class Harm:
    """A pickle of this runs a program in whoever reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that reads bytes as a pickle."""
    monkeypatch.chdir(tmp_path)
    return lambda content, **options: load(tmp_path / "x.pkl", content, **options)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pickles") / "x.pkl"


def load(path: Path, content: bytes, **options: Any) -> Any:
    path.write_bytes(content)
    return pickles.load(path, **options)


def spelled(content: Any) -> str:
    """Spell content out with types, so that 1, 1.0 and True, 0.0 and -0.0 differ, and NaN equals itself."""
    if isinstance(content, np.ndarray):
        return f"array({content.dtype.newbyteorder('=')}, {spelled(content.tolist())})"
    if isinstance(content, dict):
        return "{" + ", ".join(f"{spelled(key)}: {spelled(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list | tuple):
        return type(content).__name__ + "(" + ", ".join(map(spelled, content)) + ")"
    return f"{type(content).__name__} {content!r}"


def refusal(content: bytes, file: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(file, content, **options)
    message = caught.value.message
    assert message.startswith(f"{file}: ") and "\n" not in message and len(message) < 500
    return message.removeprefix(f"{file}: ")


@given(PLAIN, PROTOCOLS)
@settings(deadline=None)
def test_any_plain_content_comes_back_with_its_types(file: Path, content: Any, protocol: int) -> None:
    assert spelled(load(file, pickle.dumps(content, protocol=protocol))) == spelled(content)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_content_that_takes_every_size_of_instruction_comes_back(read: Callable[..., Any], protocol: int) -> None:
    shared = ["once", 1.5]
    content: dict[Any, Any] = {
        **{size: ["é" * size, b"\xff" * size, [0.5] * size, list(range(size))] for size in (0, 1, 255, 256, 3000)},
        **{2**power: -(2**power) for power in (0, 8, 15, 16, 31, 32, 63, 64, 2040, 3000)},
        "many": {str(number): [number] for number in range(3000)},
        "shared": [shared, shared],
        "surrogate": "\ud800",
    }
    found = read(pickle.dumps(content, protocol=protocol))
    assert spelled(found) == spelled(content)
    assert found["shared"][0] is found["shared"][1]


@given(
    st.lists(st.lists(st.floats(), max_size=30) | st.floats() | st.text(max_size=3)), st.integers(0, 3000), PROTOCOLS
)
@example([], 1024, 4)
@example([], 1025, 4)
@settings(deadline=None, max_examples=50)
def test_floats_read_many_at_a_time_are_all_there(file: Path, before: list[Any], length: int, protocol: int) -> None:
    floats = np.random.default_rng(length).normal(size=length).tolist()
    for content in ([*before, floats], tuple(floats), [*floats, *before], [*floats, "end"], {"a": floats, "b": before}):
        assert spelled(load(file, pickle.dumps(content, protocol=protocol))) == spelled(content)


def test_a_frame_may_end_between_any_two_floats(read: Callable[..., Any]) -> None:
    floats = np.random.default_rng(0).normal(size=40_000).tolist()
    content = pickle.dumps({"a": floats}, protocol=4)
    assert sum(opcode.name == "FRAME" for opcode, _, _ in pickletools.genops(content)) > 4
    assert read(content) == {"a": floats}
    np.testing.assert_array_equal(read(content, pack=True)["a"], np.array(floats, dtype=np.float32))


@given(
    st.lists(
        st.lists(st.sampled_from(["new", "old", "float", "text", "other", "single"]), max_size=40),
        min_size=1,
        max_size=5,
    ),
    PROTOCOLS,
    st.booleans(),
)
@settings(deadline=None)
def test_lists_of_numpy_numbers_come_back_with_all_that_refers_to_them(
    file: Path, lists: list[list[str]], protocol: int, late: bool
) -> None:
    """Numbers read many at a time still count in the memo, as every reference after them shows."""
    rng = np.random.default_rng(0)
    known: list[Any] = [np.float64(0.5)]

    def made(kind: str) -> Any:
        if kind == "old":
            return known[rng.integers(len(known))]
        item = {"float": 1.5, "text": "a" * 3, "other": np.float32(rng.normal()), "single": np.int64(3)}.get(kind)
        known.append(np.float64(rng.normal()) if item is None else item)
        return known[-1]

    content: list[Any] = [f"text {number}" for number in range(300 * late)]  # references of one byte or of four
    content += [[made(kind) for kind in kinds] + [np.float64(number) for number in range(30)] for kinds in lists]
    content += [known[::-1], known]
    expected = [
        [item.item() if isinstance(item, np.generic) else item for item in row] for row in content[-len(lists) - 2 :]
    ]
    written = pickle.dumps(content, protocol=protocol)
    assert spelled(load(file, written)[-len(lists) - 2 :]) == spelled(expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("length", [2, 1024, 1025, 5000])
def test_many_numpy_numbers_of_either_byte_order_are_read_at_once(
    read: Callable[..., Any], order: str, length: int
) -> None:
    numbers = np.random.default_rng(0).normal(size=length)
    content = pickle.dumps(list(numbers), protocol=4)
    if order == ">":
        content = unframed(content).replace(b"\x8c\x01<", b"\x8c\x01>")
        numbers = numbers.byteswap()
    assert spelled(read(content)) == spelled(numbers.tolist())


def unframed(content: bytes) -> bytes:
    """Drop the frames of a pickle, whose lengths an edit would make wrong."""
    places = [place for opcode, _, place in pickletools.genops(content) if opcode.name == "FRAME" and place is not None]
    return b"".join(
        content[start:end] for start, end in zip([0, *[p + 9 for p in places]], [*places, None], strict=True)
    )


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_and_arrays_of_numpy_come_back(read: Callable[..., Any], protocol: int, kind: np.dtype) -> None:
    array = np.array([0, 1, 100, 7], dtype=kind)
    frozen = array[1:].copy()
    frozen.setflags(write=False)
    content = {
        "number": array[2],
        "array": array,
        "again": array,
        "part": array[::2],
        "frozen": frozen,
        "no": array[:0],
    }
    found = read(pickle.dumps(content, protocol=protocol))
    assert type(found["number"]) is (float if kind.kind == "f" else int) and found["number"] == 100
    for name in ("array", "again", "part", "frozen", "no"):
        np.testing.assert_array_equal(found[name], content[name])
        assert found[name].dtype == kind.newbyteorder("=")
    assert found["array"] is found["again"]


def test_the_module_names_of_numpy_1_are_known(read: Callable[..., Any]) -> None:
    content = pickle.dumps([np.arange(3.0), np.float32(2)], protocol=2)
    old = content.replace(b"numpy._core", b"numpy.core")
    assert old != content
    assert spelled(read(old)) == spelled([np.arange(3.0), 2.0])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"S'it is'\n.", "it is"),
        (b'S"it\'s"\n.', "it's"),
        (b"S'a\\tb\\x41'\n.", "a\tbA"),
        (b"U\x03abc.", "abc"),
        (b"T\x03\0\0\0abc.", "abc"),
        (b"(lp0\nI1\naL2L\na.", [1, 2]),
        (b"(dp0\nS'a'\nI01\ns.", {"a": True}),
        (b"(I1\nI2\n0(1t.", (1,)),
        (b"I1\n2\x86.", (1, 1)),
    ],
)
def test_python_2_and_handwritten_pickles_are_read_as_pickle_reads_them(
    read: Callable[..., Any], content: bytes, expected: Any
) -> None:
    assert spelled(pickle.loads(content)) == spelled(expected)
    assert spelled(read(content)) == spelled(expected)


# Packed


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_packed_lists_of_floats_are_float32_arrays(read: Callable[..., Any], protocol: int) -> None:
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {f"G{size}": rng.normal(size=size).tolist() for size in (1, 2, 999, 1000, 1001, 1536, 3072)}
    found = read(pickle.dumps(rows, protocol=protocol), pack=True)
    assert list(found) == list(rows)
    for name, row in rows.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], np.array(row, dtype=np.float32))


def test_packing_takes_numpy_numbers_and_arrays_and_leaves_the_rest(read: Callable[..., Any]) -> None:
    shared = [0.5] * 2000
    content = {
        "numbers": [np.float64(0.1), np.float64(0.2)],
        "array": np.array([0.1, 0.2]),
        "whole": np.array([1, 2]),
        "too large": [1e300] * 3,
        "shared": shared,
        "again": shared,
        "inside": [shared, [0.25] * 2000],
        "mixed": [0.5, 1],
        "none": [],
        "one": 0.1,
    }
    found = read(pickle.dumps(content, protocol=4), pack=True)
    for name in ("numbers", "array", "too large", "shared", "again"):
        assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found["numbers"], np.array([0.1, 0.2], dtype=np.float32))
    np.testing.assert_array_equal(found["array"], np.array([0.1, 0.2], dtype=np.float32))
    assert np.isinf(found["too large"]).all()
    assert found["shared"] is found["again"]
    assert found["inside"] == [shared, [0.25] * 2000]
    assert (found["mixed"], found["none"], found["one"]) == ([0.5, 1], [], 0.1)
    assert found["whole"].dtype == np.array([1]).dtype


# Refused


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


# Damaged

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
