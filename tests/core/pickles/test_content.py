"""Plain content comes back as it was, of any protocol, and packed if that is asked for."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.pickles.reading import load, spelled

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
