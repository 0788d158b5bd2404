"""A head on an embedding and its training, on one thread: equal cells, labels and seed give equal bits.

AdamW is written out because the first use of ``torch.optim`` imports torch's compiler: 8.5 s for a head that trains in
less than one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from genept.core.errors import InputError
from genept.data.splits import Split
from genept.engines.finetuned.config import Finetune


class Head(nn.Module):
    """Standardise, then classify; what the head projects cells to is a new embedding.

    ``mlp`` has one hidden layer, whose activations are the projection, `width` numbers per cell. ``linear`` is a
    multinomial logistic regression, whose logits are the projection, one number per class.

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


@dataclass(frozen=True)
class Fitted:
    """A trained head, its classes in the order of its logits, and its accuracy on the cells it was trained on."""

    head: Head
    classes: np.ndarray
    train_accuracy: float


def fit(matrix: np.ndarray, labels: np.ndarray, config: Finetune, seed: int) -> Fitted:
    """Train a head to predict the labels of the given cells, `matrix` of shape (n_train, n_dimensions).

    Cross-entropy, AdamW, cells reshuffled in each epoch, on the CPU whatever `device` says. `InputError` if there are
    fewer than two classes, or training diverges.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"fine-tuning needs two classes in the training cells, found {len(classes)}; "
            "name another annotation under `finetune` in the dataset's file"
        )
    x, y = torch.from_numpy(np.asarray(matrix, dtype=np.float32)), torch.from_numpy(codes)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(x.mean(dim=0), x.std(dim=0, correction=0), len(classes), config)
        optimiser = AdamW(list(head.parameters()), config.learning_rate, config.weight_decay)
        for _ in range(config.epochs):
            for batch in torch.randperm(len(x)).split(config.batch_size):
                loss = cross_entropy(head(x[batch]), y[batch])
                optimiser.step(torch.autograd.grad(loss, optimiser.parameters))
        with torch.no_grad():
            logits = head(x)
    if not torch.isfinite(logits).all():
        raise InputError("fine-tuning diverged; lower finetune.learning_rate in the model's file")
    return Fitted(head, classes, float((logits.argmax(dim=1) == y).double().mean()))


def project(head: Head, matrix: np.ndarray) -> np.ndarray:
    """Return the head's embedding of cells: (n_cells, n_dimensions) to (n_cells, width), float32."""
    with one_thread(), torch.no_grad():
        layer = head if head.hidden is None else head.activations
        return layer(torch.from_numpy(np.asarray(matrix, dtype=np.float32))).numpy()


def refit(
    matrix: np.ndarray, labels: np.ndarray, labelled: np.ndarray, splits: Iterable[Split], config: Finetune, seed: int
) -> list[np.ndarray]:
    """Project all cells, for each split, by a head that has seen only the split's training cells.

    Each annotation is divided on its own (other cells may have its label; a stratified split balances it), so a head
    fitted once would have seen some test cells of another annotation. Splits with the same training cells share a fit.

    `labelled` are the rows of the cells that have a label. Returns, of each split, shape (n_cells, width), float64; the
    same array where the fit is shared.
    """
    projections: dict[bytes, np.ndarray] = {}
    training_cells = [np.intersect1d(split.train, labelled) for split in splits]
    for train in training_cells:
        if train.tobytes() not in projections:
            fitted = fit(matrix[train], labels[train], config, seed)
            projections[train.tobytes()] = project(fitted.head, matrix).astype(np.float64)
    return [projections[train.tobytes()] for train in training_cells]


class AdamW:
    """Adam with decoupled weight decay, the rule of ``torch.optim.AdamW`` with its default betas and epsilon."""

    BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: list[torch.Tensor], learning_rate: float, weight_decay: float) -> None:
        self.parameters, self.learning_rate, self.weight_decay = parameters, learning_rate, weight_decay
        self.first = [torch.zeros_like(parameter) for parameter in parameters]
        self.second = [torch.zeros_like(parameter) for parameter in parameters]
        self.n_steps = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Change the parameters in place, given the loss's gradient for each of them."""
        self.n_steps += 1
        size = self.learning_rate / (1 - self.BETA1**self.n_steps)
        correction = (1 - self.BETA2**self.n_steps) ** 0.5
        for parameter, gradient, first, second in zip(self.parameters, gradients, self.first, self.second, strict=True):
            first.lerp_(gradient, 1 - self.BETA1)
            second.mul_(self.BETA2).addcmul_(gradient, gradient, value=1 - self.BETA2)
            parameter.mul_(1 - self.learning_rate * self.weight_decay)
            parameter.addcdiv_(first, second.sqrt().div_(correction).add_(self.EPSILON), value=-size)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: sums are then added in one order everywhere, and small matrices are not slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
