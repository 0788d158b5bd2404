"""The record of finished vectors: when it is written, what is read of it, and batches that were cut smaller."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genept.engines.network import batching, job
from genept.engines.network import checkpoints as kept


def test_a_record_of_another_shape_counts_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    rows, vectors = np.array([0, 2]), np.ones((2, 3), dtype=np.float32)
    np.savez(path, rows=rows, vectors=vectors)
    assert [part.tolist() for part in kept.read(path, (3, 3))] == [rows.tolist(), vectors.tolist()]
    for shape in ((2, 3), (3, 2)):
        with pytest.raises(ValueError):
            kept.read(path, shape)


def test_records_are_written_every_interval_and_at_the_end_of_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(kept, "time", SimpleNamespace(monotonic=lambda: now[0]))
    vectors = np.arange(20, dtype=np.float32).reshape(10, 2)
    record = kept.Record(tmp_path, lambda: "name", vectors)
    n_files = []
    for row in range(10):
        now[0] += 25
        record.add(np.array([row]))
        n_files.append(len(list(tmp_path.glob("name/*"))))
    assert n_files == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    record.close()
    other = np.zeros_like(vectors)
    assert kept.Record(tmp_path, lambda: "name", other).restore().all()
    np.testing.assert_array_equal(other, vectors)
    assert not kept.Record(tmp_path, lambda: "another", other).restore().any()


def test_smaller_batches_of_a_run_without_memory_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "INTERVAL", 0)
    lengths = np.array([3, 0, 7, 7, 1, 5, 2, 9])
    rows: list[int] = []

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        if lengths[batch].sum() > 10:
            raise torch.OutOfMemoryError
        if len(rows) == 2:
            raise KeyboardInterrupt
        rows.extend(batch.tolist())
        return torch.from_numpy(batch).float()[:, None] + 1

    def compute() -> np.ndarray:
        return batching.run(forward, lengths, 1, ["cpu"], "cells", 40, lambda: [b"tokens"])

    with job.running(job.Job("blood x mine", tmp_path / "kept", lambda: "identity")):
        with pytest.raises(KeyboardInterrupt):
            compute()
        rows.append(-1)  # so that it is not broken off again
        np.testing.assert_array_equal(compute()[:, 0], (np.arange(8) + 1) * (lengths > 0))
    assert sorted(rows) == [-1, *np.flatnonzero(lengths)]
