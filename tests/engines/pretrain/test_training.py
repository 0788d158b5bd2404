"""Training: which cells a step sees, the optimiser and the curve."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError, ParamsError
from genept.data.cells import in_memory
from genept.engines.network import training
from tests.engines.pretrain.made import CONFIG, cells


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 20), st.integers(0, 99))
def test_a_cell_comes_again_only_when_all_others_have_had_their_turn(
    n_cells: int, n_per_step: int, n_steps: int, seed: int
) -> None:
    drawn = training.draws(n_cells, n_steps, n_per_step, np.random.default_rng(seed))
    assert drawn.shape == (n_steps, n_per_step)
    times = np.bincount(drawn.ravel(), minlength=n_cells)
    assert len(times) == n_cells
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize(
    ("n_datasets", "expected"), [(1, [8]), (2, [4, 4]), (3, [3, 3, 2]), (5, [2, 2, 2, 1, 1]), (8, [1] * 8)]
)
def test_a_batch_is_divided_without_cutting_a_cell(n_datasets: int, expected: list[int]) -> None:
    assert (
        training.shares(8, {str(i): in_memory(cells("one", 3 if n_datasets > 2 else 8)) for i in range(n_datasets)})
        == expected
    )


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"batch_size 1 has no cell for each of one, two"):
        training.shares(1, {"one": in_memory(cells("one")), "two": in_memory(cells("two"))})
    with pytest.raises(InputError, match=r"data/corpus/two: 3 cells .* pretraining needs 4 or more"):
        training.shares(8, {"one": in_memory(cells("one")), "two": in_memory(cells("two", 3))})


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_training_is_that_of_torch_to_the_bit(weight_decay: float) -> None:
    """Adam with its schedule and clipping; the last parameter has no gradient and stays."""
    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))

    def network() -> torch.nn.Module:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        model.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
        return model

    ours, theirs = network(), network()
    config = CONFIG.model_copy(update={"steps": 20})
    trained = training.train(ours, lambda step: 9 * ours(inputs[step % 6]).square().sum(), config, weight_decay)

    optimiser = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min((step + 1) / 2, (20 - step) / 18))
    losses = []
    for step in range(20):
        loss = 9 * theirs(inputs[step % 6]).square().sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    assert trained == (losses, 5 * 4 + 4 + 4 + 1 + 3)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_the_curve_is_the_mean_of_each_stretch() -> None:
    losses = [float(step) for step in range(1, 251)]
    curve = training.curve(losses)
    assert curve[:2] == [(3, 2.0), (6, 5.0)]
    assert curve[-1] == (250, 250.0)
    assert training.curve(losses[:4]) == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
