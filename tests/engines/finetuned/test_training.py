"""Training a head: the optimiser, what it learns, and that equal input gives equal heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from genept.core.errors import InputError
from genept.engines.finetuned import training
from genept.engines.finetuned.config import Finetune
from tests.engines.finetuned.conftest import LINEAR, MLP, cells
from tests.metrics.blood import N_CELLS


def weights(fitted: training.Fitted) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in fitted.head.state_dict().items()}


def test_the_optimiser_takes_torchs_own_adamw_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, 4, generator=generator), torch.randn(4, generator=generator)]
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in ours]
    mine = training.AdamW(ours, learning_rate=0.03, weight_decay=0.2)
    reference = torch.optim.AdamW(theirs, lr=0.03, weight_decay=0.2)
    for _ in range(20):
        gradients = [torch.randn(tensor.shape, generator=generator) for tensor in ours]
        mine.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("config", [MLP, LINEAR])
def test_a_head_learns_labels_that_lie_in_small_differences(config: Finetune) -> None:
    matrix, labels = cells()
    matrix[:, 3] = 0.25  # a constant coordinate does no harm
    fitted = training.fit(matrix, labels, config, 0)
    assert fitted.train_accuracy > 0.85
    assert np.isfinite(training.project(fitted.head, matrix)).all()
    with pytest.raises(InputError, match=r"lower finetune\.learning_rate in the model's file"):
        training.fit(matrix, labels, config.model_copy(update={"learning_rate": 1e30}), 0)


def test_heads_depend_on_the_seed_but_not_on_threads_and_leave_torchs_state_alone() -> None:
    matrix, labels = cells()
    before, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        heads = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            heads.append(weights(training.fit(matrix, labels, MLP, 0)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert heads[0] == heads[1] != weights(training.fit(matrix, labels, MLP, 1))
    assert torch.equal(torch.get_rng_state(), state)


def test_heads_that_are_trained_side_by_side_are_those_trained_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, labels = cells()
    parts = [train_test_split(np.arange(N_CELLS), test_size=size, random_state=0)[0] for size in (0.3, 0.3, 0.3, 0.5)]
    parts[1] = np.roll(np.arange(N_CELLS), 9)[: len(parts[0])]
    for values in (training.VALUES, matrix.size):  # all three of a kind together, or one and two
        monkeypatch.setattr(training, "VALUES", values)
        together = training.fit_each([matrix[rows] for rows in parts], [labels[rows] for rows in parts], MLP, 0)
        for rows, fitted in zip(parts, together, strict=True):
            alone = training.fit(matrix[rows], labels[rows], MLP, 0)
            np.testing.assert_allclose(
                training.project(fitted.head, matrix), training.project(alone.head, matrix), atol=1e-5
            )
            assert fitted.train_accuracy == pytest.approx(alone.train_accuracy, abs=0.02)
