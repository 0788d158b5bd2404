"""Pickles of others: plain content comes back as Python's own unpickler reads it; nothing of them runs."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core import pickles
from genept.core.errors import InputError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
KEYS = NUMBERS | st.text() | st.binary() | st.tuples(st.text(), st.integers())
PLAIN = st.recursive(
    NUMBERS | st.text() | st.binary() | st.lists(st.floats(), min_size=5),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=30,
)
WHOLE = {"TP53": [0.5] * 40, "A2M": [np.float64(1), 2, -3.0], "CD19": np.arange(4.0), "b": (b"x", "é", None, 2**70)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pickles") / "x.pkl"


def load(file: Path, content: bytes, **options: Any) -> Any:
    file.write_bytes(content)
    return pickles.load(file, **options)


def refusal(file: Path, content: bytes, **options: Any) -> str:
    """The message without its beginning, the path."""
    with pytest.raises(InputError) as caught:
        load(file, content, **options)
    message = caught.value.message
    assert message.startswith(f"{file}: ") and "\n" not in message and len(message) < 500
    return message.removeprefix(f"{file}: ")


def spelled(content: Any) -> str:
    """Content with its types, so that 1, 1.0 and True, 0.0 and -0.0 differ, and NaN equals itself."""
    if isinstance(content, np.ndarray):
        return f"array({content.dtype.newbyteorder('=')}, {spelled(content.tolist())})"
    if isinstance(content, dict):
        return "{" + ", ".join(f"{spelled(key)}: {spelled(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list | tuple):
        return type(content).__name__ + "(" + ", ".join(map(spelled, content)) + ")"
    content = content.item() if isinstance(content, np.generic) else content
    return f"{type(content).__name__} {content!r}"


# What comes back


@given(PLAIN, st.sampled_from(PROTOCOLS))
def test_any_plain_content_comes_back_with_its_types(file: Path, content: Any, protocol: int) -> None:
    assert spelled(load(file, pickle.dumps(content, protocol=protocol))) == spelled(content)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_content_that_takes_every_size_of_instruction_comes_back(file: Path, protocol: int) -> None:
    shared = ["once", 1.5]
    content: dict[Any, Any] = {
        **{size: ["é" * size, b"\xff" * size, [0.5] * size, list(range(size))] for size in (0, 1, 255, 256, 3000)},
        **{2**power: -(2**power) for power in (0, 8, 15, 16, 31, 32, 63, 64, 2040, 3000)},
        "many": {str(number): [number, float(number)] for number in range(3000)},
        "frames": np.random.default_rng(0).normal(size=20_000).tolist(),
        "shared": [shared, shared],
        "surrogate": "\ud800",
        "ordered": collections.OrderedDict(a=1, b=2.5),
    }
    found = load(file, pickle.dumps(content, protocol=protocol))
    assert spelled(found) == spelled(content)
    assert found["shared"][0] is found["shared"][1] and type(found["ordered"]) is dict


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f8", "i1", "u1", "<i2", "<i4", ">i4", "<i8", "<u2", "<u8"])
def test_numbers_and_arrays_of_numpy_come_back(file: Path, protocol: int, kind: str) -> None:
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
    written = pickle.dumps(content, protocol=protocol)
    for spelling in (written, written.replace(b"numpy._core", b"numpy.core")) if protocol == 2 else (written,):
        found = load(file, spelling)
        assert spelled(found) == spelled(content) and found["array"] is found["again"]


@pytest.mark.parametrize("old", [b"S'it is'\n.", b"S'a\\tb'\n.", b"U\3abc.", b"T\3\0\0\0abc.", b"(lp0\nI1\naL2L\na."])
def test_python_2_pickles_are_read_as_pickle_reads_them(file: Path, old: bytes) -> None:
    assert spelled(load(file, old)) == spelled(pickle.loads(old))


# Packed vectors


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_packed_lists_of_floats_are_float32_arrays(file: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {f"G{size}": rng.normal(size=size).tolist() for size in (1, 2, 1023, 1024, 1025, 3072)}
    shared = [0.5] * 2000
    others = {"whole": np.array([1]), "huge": [1e300] * 3, "again": shared, "inside": [shared], "mixed": [0.5, 1]}
    found = load(file, pickle.dumps({**rows, "shared": shared, **others}, protocol=protocol), pack=True)
    for name, row in rows.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], np.array(row, dtype=np.float32))
    assert found["shared"] is found["again"] is found["inside"][0][0]
    assert np.isinf(found["huge"]).all() and found["mixed"] == [0.5, 1] and found["whole"].tolist() == [1]


def test_packing_takes_no_second_copy_of_the_numbers(file: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(2500, 100))
    file.write_bytes(pickle.dumps(dict(enumerate(rows.tolist())), protocol=4))
    tracemalloc.start()
    found = pickles.load(file, pack=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 2500 and peak < rows.size * 4 + 1200 * 100 * 32  # the vectors; a batch of lists of floats


# What is refused


class Harm:
    """A pickle of this runs a program in whoever reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"TP53": [0.1, x]}, lambda x: {x: 1}])
def test_a_program_is_refused_and_does_not_run(file: Path, protocol: int, wrap: Any) -> None:
    message = refusal(file, pickle.dumps(wrap(Harm()), protocol=protocol))
    assert message.startswith(f"refused, the pickle asks to import {os.name}.system")
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "asks to import builtins.eval"),
        (b"cbuiltins\ngetattr\n(cnumpy\ndtype\nS'__init__'\ntR.", "asks to import builtins.getattr"),
        (b"(S'touch harmed'\nios\nsystem\n.", "asks to import os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks to import os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x1adtype.__init__.__globals__\x93.", "asks to import numpy.dtype.__init__"),
        (b"\x82\x01.", "makes an object or a set"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "makes an object or a set"),
        (b"\x80\x04\x8f(" + b")" + b"\x85" * 200_000 + b"\x90.", "makes an object or a set"),
        (pickle.dumps({1, 2}, protocol=4), "makes an object or a set"),
        (pickle.dumps(1j), "asks to import builtins.complex"),
        (b"c" + b"a" * 10_000 + b"\nb\n.", "asks to import a"),
        # the same bytes decoded a thousand times
        (b"(c_codecs\nencode\nq\0X" + struct.pack("<I", 9000) + b"a" * 9000 + b"X\6\0\0\0latin1\x86q\1"
         + b"h\0h\1R" * 1000 + b"t.", "decodes to more bytes than it has"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused(file: Path, content: bytes, what: str) -> None:
    assert refusal(file, content).startswith(f"refused, the pickle {what}")
    assert not Path("harmed").exists()


HUGE = struct.pack("<Q", 2**62)
DTYPE = b"cnumpy\ndtype\n(S'f8'\ntR"


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"hello", b"\x80\x07N.", b"\xff.", b"Pname\n.", b"\x80\x05\x97.",
        *(opcode + HUGE for opcode in (b"\x8d", b"\x8e", b"\x95", b"\x96")),
        *(opcode + HUGE[4:] for opcode in (b"X", b"B", b"\x8b", b"T")),
        b"\x8b\xff\xff\xff\xff.", b"T\xff\xff\xff\xff.", b"I" + b"1" * 10_000 + b"\n.", b"Iseven\n.", b"S'open\n.",
        b"X\1\0\0\0\xff.", b"G\0\0.", b"(a.", b"Na.", b"NNa.", b"NNNs.", b"}(Nu.", b"}]Ns.", b"t.", b"1.", b"q\0.",
        b"h\0.", b"NNR.", b"NNb.",
        # allowed functions with hostile arguments
        b"cnumpy\nndarray\n)R.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"cnumpy\ndtype\n)" + b"\x85" * 200_000 + b"\x85R.",
        DTYPE + b"]b.",
        b"cnumpy\ndtype\n}S'read'\nNsb.",  # sets attributes of what stands for numpy's type
        b"c_codecs\nencode\n(N}S'__defaults__'\nNsI1\ntb.",
        b"c_codecs\nencode\n(X\1\0\0\0aS'rot13'\ntR.",
        b"cbuiltins\nbytes\n(I99999999\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(S'f8'\nS'12345678'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(" + DTYPE + b"B\0\0\0\0tR.",
        b"cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I99999999\nt" + DTYPE + b"I00\nC\x08\0\0\0\0\0\0\0\0tb.",
        b"cnumpy.core.numeric\n_frombuffer\n(C\x07\0\0\0\0\0\0\0" + DTYPE + b"(I1\ntS'C'\ntR.",
        # tuples that are no key: one nested 200,000 deep, one whose hash takes 2**60 steps
        b"})" + b"\x85" * 200_000 + b"Ns.",
        b"})" + b"2\x86" * 60 + b"Ns.",
        b"(" + b")" + b"2\x86" * 60 + b"Nd.",
        b")" + b"\x85" * 200_000 + b"S'a'\n\x93.",
        *(pickle.dumps(array, protocol=5) for array in (np.zeros((2, 2)), np.array(1.0), np.zeros(2, "U3"))),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pack", [False, True])
def test_a_damaged_pickle_is_one_line(file: Path, content: bytes, pack: bool) -> None:
    assert refusal(file, content, pack=pack).startswith("not a readable pickle (")


def test_a_large_index_of_the_memo_and_deep_nesting_take_no_memory(file: Path) -> None:
    assert load(file, b"Nr\xff\xff\xff\xff.") is None  # a table up to that index would take 64 GB
    assert type(load(file, b"]" * 200_000 + b"a" * 199_999 + b".")) is list
    found = load(file, b"]" + b"2\x86" * 60 + b".")
    assert type(found) is tuple and found[0] is found[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_short_anywhere_is_one_line(file: Path, protocol: int) -> None:
    whole = pickle.dumps(WHOLE, protocol=protocol)
    for length in range(len(whole)):
        assert refusal(file, whole[:length], pack=bool(length % 2))


@given(st.binary(max_size=60), st.integers(0, len(pickle.dumps(WHOLE)) - 1), st.integers(0, 255), st.booleans())
@settings(max_examples=300)
def test_any_bytes_and_any_changed_byte_are_read_or_are_one_line(
    file: Path, content: bytes, place: int, byte: int, pack: bool
) -> None:
    whole = pickle.dumps(WHOLE)
    for damaged in (content, whole[:place] + bytes([byte]) + whole[place + 1 :]):
        try:
            load(file, damaged, pack=pack)
        except InputError as error:
            assert "\n" not in error.message
