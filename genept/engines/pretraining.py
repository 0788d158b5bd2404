"""Settings of the small models trained here; imports neither numpy nor torch.

Such an engine has ``pretrain.py``, whose first line describes its models in ``card.json``, with one function::

    def pretrain(corpora: dict[str, Cells], config: Pretraining, folder: Path, device: str) -> Trained

``corpora``
    For each dataset the cells outside its evaluated subset, see `genept.data.cells`; not to be changed. They may be too
    many for the memory.
``config``
    The section ``pretrain`` of the model's file, in the engine's own class.
``folder``
    An empty folder, which gets the checkpoint in the layout of the method's released ones.
``device``
    ``cpu`` or ``cuda``.

It returns a `genept.engines.network.training.Trained`.
"""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from genept.core.config import Config, Rounds, Size
from genept.core.params import Seed, Share


class Pretraining(Config):
    """How a model is trained: what scGPT and Geneformer have in common."""

    seed: Seed  # of the first weights, the order of cells and the masks
    steps: Rounds
    batch_size: Size  # cells at each step, from all datasets together
    max_length: Size  # tokens of a cell
    learning_rate: Share  # its peak
    mask_ratio: Share  # of a cell's genes
    width: Size
    n_layers: Size
    n_heads: Size

    @model_validator(mode="after")
    def check_heads(self) -> Self:
        """Refuse a width that the heads cannot share."""
        if self.width % self.n_heads:
            raise ValueError(f"width {self.width} is not a multiple of n_heads {self.n_heads}")
        return self
