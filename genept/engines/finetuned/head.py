"""The head: a small network on top of an embedding, and what it projects cells to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from genept.metrics.choices import Section


@dataclass(frozen=True)
class HeadChoices:
    """The choices of a fine-tuned model's entry in ``params.yaml``."""

    kind: str
    width: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float


def read_choices(entry: dict[str, Any], model: str) -> HeadChoices:
    """Check a fine-tuned model's entry.

    Raises
    ------
    ParamsError
        If a choice is missing or is none of its options.
    """
    section = Section(entry, f"models.{model}")
    return HeadChoices(
        kind=section.one_of("head", "mlp", "linear"),
        width=section.whole("width"),
        epochs=section.whole("epochs"),
        batch_size=section.whole("batch_size"),
        learning_rate=section.number("learning_rate", above=0),
        weight_decay=section.number("weight_decay", above=-1e-12),
    )


class Head(nn.Module):
    """Standardise, then classify.

    ``mlp`` has one hidden layer; its activations are the projection, `width` numbers per cell. ``linear`` is a
    multinomial logistic regression, which has no layer before the last: its logits are the projection, one number per
    class, and `width` is not used.

    Coordinates are standardised with the training cells' mean and standard deviation, which the head stores: unit
    GenePT-w vectors are nearly parallel, and what tells cells apart is in small differences.
    """

    def __init__(self, mean: torch.Tensor, sd: torch.Tensor, n_classes: int, choices: HeadChoices) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.sd: torch.Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("sd", torch.where(sd > 0, sd, 1.0))
        is_mlp = choices.kind == "mlp"
        self.hidden = nn.Linear(len(mean), choices.width) if is_mlp else None
        self.output = nn.Linear(choices.width if is_mlp else len(mean), n_classes)

    def activations(self, matrix: torch.Tensor) -> torch.Tensor:
        """Return what the last layer sees: (n_cells, n_dimensions) to (n_cells, width), or standardised coordinates."""
        standard = (matrix - self.mean) / self.sd
        return standard if self.hidden is None else torch.relu(self.hidden(standard))

    def forward(self, matrix: torch.Tensor) -> torch.Tensor:
        """Return logits: (n_cells, n_dimensions) to (n_cells, n_classes)."""
        return self.output(self.activations(matrix))

    def project(self, matrix: torch.Tensor) -> torch.Tensor:
        """Return the embedding that the head makes."""
        return self(matrix) if self.hidden is None else self.activations(matrix)
