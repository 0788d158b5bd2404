"""Vectors that were paid for: ``data/cache/text_api/<model>/``, one small file for every batch that arrived.

A file is written under another name and renamed, so a crash loses the batch in flight at most, and processes may write
side by side. It is an uncompressed ``.npz`` (``keys``: uint8 (n_texts, 32), ``vectors``: float32 (n_texts,
n_dimensions)), whose checksums tell a damaged file; such a file counts as not there. Texts are not stored.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import click
import numpy as np

from genept.core import files

ROOT = Path("data/cache/text_api")
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError)


def key(host: str, model: str, dimensions: int | None, text: str) -> bytes:
    """Return the name of a text's vector: a SHA-256 of all that the vector depends on."""
    return hashlib.sha256(json.dumps([host, model, dimensions, text]).encode()).digest()


def folder(model: str) -> Path:
    """Return the folder of a model's vectors; characters that a folder's name may not have become ``_``."""
    return ROOT / re.sub(r"^\.|[^A-Za-z0-9._-]", "_", model)


def write(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> None:
    """Keep a batch of vectors, shape (n_texts, n_dimensions)."""
    name = hashlib.sha256(b"".join(keys)).hexdigest()
    rows = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 32)
    with files.replacing(folder / f"{name}.npz") as temporary:
        np.savez(temporary, keys=rows, vectors=vectors)


def read(folder: Path, wanted: Collection[bytes]) -> dict[bytes, np.ndarray]:
    """Return those of the `wanted` vectors that are there, each of shape (n_dimensions,), by key."""
    wanted = set(wanted)
    found: dict[bytes, np.ndarray] = {}
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as archive:
                keys = [row.tobytes() for row in archive["keys"]]
                if wanted.isdisjoint(keys):
                    continue
                vectors = archive["vectors"]
        except DAMAGED:
            click.echo(f"{path}: damaged; what it held is asked for again, the file may be removed", err=True)
            continue
        found.update((key, vector) for key, vector in zip(keys, vectors, strict=True) if key in wanted)
    return found
