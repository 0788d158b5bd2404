"""HDF5 files of others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import pytest

from genept.core import hdf5
from genept.core.errors import InputError


def test_a_file_is_looked_at_whole_once_and_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, places = [], hdf5.places

    def counted(stream: BinaryIO, pattern: bytes) -> Iterator[int]:
        looks.append(stream.name)
        return places(stream, pattern)

    monkeypatch.setattr(hdf5, "places", counted)
    path = tmp_path / "cells.h5"
    with h5py.File(path, "w") as file:
        file["names"] = ["one", "two"]
    for _ in range(3):
        with hdf5.opened(path) as file:
            assert list(file["names"].asstr()) == ["one", "two"]
    assert len(looks) == 1
    content = bytearray(path.read_bytes())
    entry = content.index(hdf5.HEAP) + 16
    content[entry + 8 : entry + 16] = bytes(8)  # its size
    content[entry : entry + 2] = bytes(2)  # now it is the free rest
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="a collection of its texts is not whole"), hdf5.opened(path):
        pass
    assert len(looks) == 2
