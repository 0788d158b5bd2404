"""Checkpoints of finished vectors: when they are saved, what is read of them, and batches that were cut smaller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genept.engines.network import batching, checkpoints, job
from genept.engines.network.checkpoints import Checkpoint


def test_checkpoints_are_saved_every_interval_and_at_the_end_of_long_work(tmp_path: Path) -> None:
    now = 0.0
    vectors = np.arange(20, dtype=np.float32).reshape(10, 2)
    checkpoint = Checkpoint(tmp_path, lambda: "name", vectors, clock=lambda: now)
    n_files = []
    for row in range(10):
        now += 25
        checkpoint.add(np.array([row]))
        n_files.append(len(list(tmp_path.glob("name/*"))))
    assert n_files == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    checkpoint.close()
    restored = np.zeros_like(vectors)
    assert Checkpoint(tmp_path, lambda: "name", restored).resume().all()
    np.testing.assert_array_equal(restored, vectors)
    assert not Checkpoint(tmp_path, lambda: "another", restored).resume().any()


def test_a_run_that_was_cut_to_smaller_batches_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL", 0)
    lengths = np.array([3, 0, 7, 7, 1, 5, 2, 9])
    computed: list[int] = []
    interrupted = False

    def forward(device: str, batch: np.ndarray) -> torch.Tensor:
        nonlocal interrupted
        if lengths[batch].sum() > 10:
            raise torch.OutOfMemoryError
        if len(computed) == 2 and not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        computed.extend(batch.tolist())
        return torch.from_numpy(batch).float()[:, None] + 1

    def compute() -> np.ndarray:
        return batching.run(forward, lengths, 1, ["cpu"], "cells", 40, lambda: [b"tokens"])

    with job.running(job.Job("blood x mine", tmp_path, lambda: "identity")):
        with pytest.raises(KeyboardInterrupt):
            compute()
        np.testing.assert_array_equal(compute()[:, 0], (np.arange(8) + 1) * (lengths > 0))
    assert sorted(computed) == np.flatnonzero(lengths).tolist()
