"""Training a head: the optimiser, what it learns, and that equal input gives equal heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genept.core.errors import InputError
from genept.engines.finetuned import head, training
from tests.engines.finetuned.made import MLP, N_CELLS, cells

LINEAR = head.HeadChoices("linear", width=8, epochs=5, batch_size=16, learning_rate=0.01, weight_decay=0.1)


def weights(fitted: training.Fitted) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in fitted.head.state_dict().items()}


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


@pytest.mark.parametrize("options", [MLP, LINEAR])
def test_a_head_learns_labels_that_lie_in_small_differences(options: head.HeadChoices) -> None:
    matrix, labels = cells()
    assert training.fit(matrix, labels, options, 0).train_accuracy > 0.85


def test_equal_input_gives_equal_heads_on_any_number_of_threads_and_another_seed_another() -> None:
    matrix, labels = cells()
    before = torch.get_num_threads()
    try:
        heads = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            heads.append(weights(training.fit(matrix, labels, MLP, 0)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all((heads[0][name] == heads[1][name]).all() for name in heads[0])
    other = weights(training.fit(matrix, labels, MLP, 1))
    assert (other["output.weight"] != heads[0]["output.weight"]).any()


def test_training_leaves_torchs_global_generator_alone() -> None:
    matrix, labels = cells()
    state = torch.get_rng_state()
    training.fit(matrix, labels, MLP, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_constant_coordinate_does_no_harm() -> None:
    matrix, labels = cells()
    matrix[:, 3] = 0.25
    assert np.isfinite(training.project(training.fit(matrix, labels, MLP, 0).head, matrix)).all()


def test_one_class_and_divergence_are_errors_in_one_line() -> None:
    matrix, labels = cells()
    with pytest.raises(InputError, match="needs two classes in the training cells, found 1"):
        training.fit(matrix, np.full(N_CELLS, "sick"), MLP, 0)
    with pytest.raises(InputError, match="lower learning_rate"):
        training.fit(matrix, labels, head.HeadChoices("mlp", 8, 5, 16, 1e30, 0.1), 0)
