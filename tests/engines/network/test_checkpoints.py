"""Checkpoints: when they are saved, what is read of them, and that every network resumes from those of its own work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genept.engines.encoder.local import LocalEncoder
from genept.engines.geneformer import embed as geneformer
from genept.engines.network import batching, job, transformer
from genept.engines.network.job import Checkpoint
from genept.engines.scgpt import checkpoint
from genept.engines.scgpt import embed as scgpt
from tests import helpers
from tests.engines.geneformer.made import V2, small, write_model
from tests.engines.scgpt.made import FIXTURES, random_tokens


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
    monkeypatch.setattr(job, "SAVED_EVERY", 0)
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


Network = Callable[[torch.dtype], np.ndarray]


def of_scgpt(folder: Path, seed: int) -> Network:
    model, sequences = checkpoint.read(FIXTURES), random_tokens(30, seed)
    return lambda dtype: scgpt.encode(model, sequences, dtype=dtype)


def of_geneformer(folder: Path, seed: int) -> Network:
    entries = small(V2)
    write_model(folder, entries)
    model = geneformer.load(folder, len(entries.tokens))
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(4, 30, size=length).astype(np.int32) for length in rng.integers(3, 20, size=40)]
    return lambda dtype: geneformer.encode(model, sequences, 1, dtype=dtype)


def of_text_encoder(folder: Path, seed: int) -> Network:
    symbols = [f"G{i}" for i in range(40)]
    helpers.write_encoder(folder, ["genes: ", *symbols])
    rng = np.random.default_rng(seed)
    rows = [rng.integers(40, size=length) for length in rng.integers(0, 30, size=30)]
    return lambda dtype: LocalEncoder(folder, "cpu", dtype=dtype).encode_words("genes: ", symbols, rows).vectors


@pytest.mark.parametrize("made", [of_scgpt, of_geneformer, of_text_encoder])
def test_every_network_resumes_with_the_same_tokens_and_precision_only(
    made: Callable[[Path, int], Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "TOKENS_PER_BATCH", {"cpu": 60})
    monkeypatch.setattr(job, "SAVED_EVERY", 0)
    encode, n_batches, last = transformer.encode, 0, 10**6

    def counted(*arguments: Any, **options: Any) -> torch.Tensor:
        nonlocal n_batches
        n_batches += 1
        if n_batches > last:
            raise KeyboardInterrupt
        return encode(*arguments, **options)

    monkeypatch.setattr(transformer, "encode", counted)
    network, other = made(tmp_path / "model", 0), made(tmp_path / "model", 1)
    expected, n_whole = network(torch.float32), n_batches
    of_other, in_bfloat16 = other(torch.float32), network(torch.bfloat16)
    with job.running(job.Job("blood x mine", tmp_path / "checkpoints", lambda: "identity")):
        n_batches, last = 0, 4
        with pytest.raises(KeyboardInterrupt):
            network(torch.float32)
        n_batches, last = 0, 10**6
        np.testing.assert_array_equal(other(torch.float32), of_other)
        np.testing.assert_array_equal(network(torch.bfloat16), in_bfloat16)
        n_batches = 0
        np.testing.assert_array_equal(network(torch.float32), expected)
        assert n_batches == n_whole - 4 > 0
        np.testing.assert_array_equal(network(torch.float32), expected)
        assert n_batches == n_whole - 4
