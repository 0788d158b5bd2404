"""Training a small network: which cells each step sees, the schedule, AdamW, the loss curve and the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from genept.core.cli import progress
from genept.core.errors import InputError, ParamsError
from genept.engines.pretraining import Pretraining

if TYPE_CHECKING:
    from genept.data.cells import Cells

WARM_UP = 0.1
MAX_GRADIENT_NORM = 1.0
CURVE_POINTS = 100


class Trained(NamedTuple):
    """The result of training, beside the checkpoint."""

    losses: list[float]  # of each step
    n_weights: int


def shares(batch_size: int, corpora: Mapping[str, Cells]) -> list[int]:
    """Divide a batch over datasets as evenly as whole cells allow; the first ones give the cells left over."""
    n_each, rest = divmod(batch_size, len(corpora))
    numbers = [n_each + (place < rest) for place in range(len(corpora))]
    if not n_each:
        raise ParamsError(f"pretrain.batch_size {batch_size} has no cell for each of {', '.join(corpora)}; raise it")
    for (dataset, corpus), number in zip(corpora.items(), numbers, strict=True):
        if corpus.n_obs < number:
            raise InputError(
                f"data/corpus/{dataset}: {corpus.n_obs} cells are outside the evaluated subset, pretraining needs "
                f"{number} or more; evaluate fewer (subset in data/{dataset}.yaml) or take {dataset} out of "
                "grid.pretrain"
            )
    return numbers


def draws(cells: int | np.ndarray, n_steps: int, n_per_step: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a dataset's cells for every step; a cell comes again only when all others have had their turn.

    `cells` is their number, or the rows to choose from. Returns row numbers, shape (n_steps, n_per_step).
    """
    n_rounds = -(-n_steps * n_per_step // (cells if isinstance(cells, int) else len(cells)))
    order = np.concatenate([rng.permutation(cells) for _ in range(n_rounds)])
    return order[: n_steps * n_per_step].reshape(n_steps, n_per_step)


def train(
    model: torch.nn.Module, batch_loss: Callable[[int], torch.Tensor], config: Pretraining, weight_decay: float = 0.0
) -> Trained:
    """Train in place; `batch_loss` gives the loss of the cells of step 0, 1, 2, ...

    AdamW; gradients are cut to norm 1; the learning rate rises linearly over the first tenth of the steps, then falls
    linearly to 0.
    """
    parameters = list(model.parameters())
    optimiser = AdamW(parameters, weight_decay)
    warm_up = max(1, round(WARM_UP * config.steps))
    losses = []
    model.train()
    for step in progress(range(config.steps), "pretraining", unit="step"):
        loss = batch_loss(step)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        rate = min((step + 1) / warm_up, (config.steps - step) / max(1, config.steps - warm_up))
        optimiser.step(config.learning_rate * rate)
        losses.append(loss.item())
    return Trained(losses, sum(parameter.numel() for parameter in parameters))


class AdamW:
    """``torch.optim.AdamW(fused=True)`` to the bit, by the same kernel: ``torch.optim`` would take 2 to 9 s to import.

    It imports torch's compiler at its first step. Betas and epsilon are torch's defaults; a parameter without gradient
    stays as it is.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], weight_decay: float) -> None:
        self.weight_decay = weight_decay
        self.state = [
            (parameter, *(torch.zeros_like(parameter) for _ in range(2)), torch.zeros((), device=parameter.device))
            for parameter in parameters
        ]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters in place by their gradients."""
        state = [(part[0], part[0].grad, *part[1:]) for part in self.state if part[0].grad is not None]
        parameters, gradients, first, second, n_steps = map(list, zip(*state, strict=True))
        torch._foreach_add_(n_steps, 1)
        torch._fused_adamw_(
            parameters,
            gradients,
            first,
            second,
            [],
            n_steps,
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def curve(losses: list[float]) -> list[tuple[int, float]]:
    """Return the mean loss of about `CURVE_POINTS` equal stretches of steps, each with its last step's number."""
    width = -(-len(losses) // CURVE_POINTS)
    stretches = [losses[start : start + width] for start in range(0, len(losses), width)]
    last = np.cumsum([len(stretch) for stretch in stretches]).tolist()
    return [(step, sum(stretch) / len(stretch)) for step, stretch in zip(last, stretches, strict=True)]


def card(
    title: str, description: str, corpora: Mapping[str, Cells], config: Pretraining, trained: Trained
) -> dict[str, Any]:
    """Describe the model for whoever finds its folder: what it is, what it saw, and what its scores mean."""
    sizes = {dataset: corpus.n_obs for dataset, corpus in corpora.items()}
    points = curve(trained.losses)
    return {
        "title": title,
        "description": description,
        "limits": (
            f"A small model trained in this pipeline on {sum(sizes.values())} cells; not a released checkpoint. "
            "In-domain: other cells of the same datasets and donors as the evaluated ones, without their labels. "
            "Its scores say nothing about the released models."
        ),
        "n_weights": trained.n_weights,
        "n_cells": sizes,
        "n_genes": len(set().union(*(corpus.var.index for corpus in corpora.values()))),
        "steps": len(trained.losses),
        "loss_at_start": round(points[0][1], 4),
        "loss_at_end": round(points[-1][1], 4),
        "options": config.model_dump(),
    }
