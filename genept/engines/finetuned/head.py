"""The head: a small network on top of an embedding, and what it projects cells to."""

from __future__ import annotations

import torch
from torch import nn

from genept.engines.finetuned.config import Finetune


class Head(nn.Module):
    """Standardise, then classify.

    ``mlp`` has one hidden layer; its activations are the projection, `width` numbers per cell. ``linear`` is a
    multinomial logistic regression, which has no layer before the last: its logits are the projection, one number per
    class.

    Coordinates are standardised with the training cells' mean and standard deviation, which the head stores: unit
    GenePT-w vectors are nearly parallel, and what tells cells apart is in small differences.
    """

    def __init__(self, mean: torch.Tensor, sd: torch.Tensor, n_classes: int, config: Finetune) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.sd: torch.Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("sd", torch.where(sd > 0, sd, 1.0))
        is_mlp = config.head == "mlp"
        self.hidden = nn.Linear(len(mean), config.width) if is_mlp else None
        self.output = nn.Linear(config.width if is_mlp else len(mean), n_classes)

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
