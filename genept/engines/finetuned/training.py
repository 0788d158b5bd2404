"""A head on an embedding and its training, on one thread: equal cells, labels and seed give equal bits.

AdamW is written out because the first use of ``torch.optim`` imports torch's compiler: 8.5 s for a head that trains in
less than one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from genept.core.errors import InputError
from genept.engines.finetuned.config import Finetune

VALUES = 1 << 26  # coordinates of the cells that heads are trained on side by side: 256 MiB
PROJECTED = 1 << 15  # cells at a time


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
    return fit_each([matrix], [labels], config, seed)[0]


def fit_each(matrices: Sequence[np.ndarray], labels: Sequence[np.ndarray], config: Finetune, seed: int) -> list[Fitted]:
    """Train a head on each of several sets of cells, as `fit` trains one, with the same seed.

    Heads on equally many cells of the same classes, such as those of random splits, are trained side by side: their
    products are batched, which takes less than half the time of one after another.
    """
    together: dict[tuple[int, ...], list[int]] = {}
    codes, classes = [], []
    for number, own in enumerate(labels):
        names, code = np.unique(own, return_inverse=True)
        if len(names) < 2:
            raise InputError(
                f"fine-tuning needs two classes in the training cells, found {len(names)} in {len(own)} cells; "
                "label more cells, or name another annotation under `finetune` in the dataset's file"
            )
        classes.append(names)
        codes.append(code)
        size = max(1, VALUES // matrices[number].size)  # heads at a time
        alike = together.setdefault((len(own), len(names)), [])
        alike.append(number)
        if len(alike) == size:  # the next one begins another group
            together[len(own), len(names), number] = together.pop((len(own), len(names)))
    found: dict[int, Fitted] = {}
    for numbers in together.values():
        if len(numbers) == 1:  # no second copy of what may be large
            stack = np.require(matrices[numbers[0]], np.float32, ["C", "W"])[np.newaxis]
        else:
            stack = np.stack([matrices[n] for n in numbers]).astype(np.float32, copy=False)
        x = torch.from_numpy(stack)
        y = torch.from_numpy(np.stack([codes[n] for n in numbers]))
        heads, accuracies = train(x, y, len(classes[numbers[0]]), config, seed)
        for number, head, accuracy in zip(numbers, heads, accuracies, strict=True):
            found[number] = Fitted(head, classes[number], accuracy)
    return [found[number] for number in range(len(labels))]


def train(
    x: torch.Tensor, y: torch.Tensor, n_classes: int, config: Finetune, seed: int
) -> tuple[list[Head], list[float]]:
    """Train heads side by side: cells (n_heads, n_train, n_dimensions), their classes as codes (n_heads, n_train)."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        heads = []
        for own in x:
            torch.manual_seed(seed)
            heads.append(Head(own.mean(dim=0), own.std(dim=0, correction=0), n_classes, config))
        stacked = {
            name: torch.stack([dict(head.named_parameters())[name].detach() for head in heads]).requires_grad_()
            for name, _ in heads[0].named_parameters()
        }
        mean = torch.stack([head.mean for head in heads])[:, None]
        sd = torch.stack([head.sd for head in heads])[:, None]

        def logits(cells: torch.Tensor) -> torch.Tensor:
            layer = (cells - mean) / sd
            for name in ("hidden", "output"):
                if f"{name}.weight" in stacked:
                    weight, bias = stacked[f"{name}.weight"], stacked[f"{name}.bias"]
                    layer = torch.baddbmm(bias[:, None], layer, weight.transpose(1, 2))
                    layer = torch.relu(layer) if name == "hidden" else layer
            return layer

        optimiser = AdamW(list(stacked.values()), config.learning_rate, config.weight_decay)
        for _ in range(config.epochs):
            for batch in torch.randperm(x.shape[1]).split(config.batch_size):
                given = logits(x[:, batch])
                loss = cross_entropy(given.flatten(0, 1), y[:, batch].flatten()) * len(x)  # a sum of the heads' means
                optimiser.step(torch.autograd.grad(loss, optimiser.parameters))
        with torch.no_grad():
            given = torch.cat([logits(x[:, rows]) for rows in blocks(x.shape[1], x.numel())], dim=1)
            for number, head in enumerate(heads):
                head.load_state_dict({name: values[number] for name, values in stacked.items()}, strict=False)
    if not torch.isfinite(given).all():
        raise InputError("fine-tuning diverged; lower finetune.learning_rate in the model's file")
    return heads, (given.argmax(dim=2) == y).double().mean(dim=1).tolist()


def blocks(n_cells: int, n_values: int) -> list[slice]:
    """Return the rows of some cells after the other, of few values all."""
    size = n_cells if n_values <= VALUES else PROJECTED
    return [slice(start, start + size) for start in range(0, n_cells, size)]


def project(head: Head, matrix: np.ndarray) -> np.ndarray:
    """Return the head's embedding of cells: (n_cells, n_dimensions) to (n_cells, width), float32."""
    return np.concatenate(list(project_parts(head, matrix)))


def project_parts(head: Head, matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the head's embedding of `PROJECTED` cells after the other; `matrix` may be memory-mapped."""
    layer = head if head.hidden is None else head.activations
    for start in range(0, len(matrix), PROJECTED):
        part = np.array(matrix[start : start + PROJECTED], dtype=np.float32)
        with one_thread(), torch.no_grad():
            given = layer(torch.from_numpy(part)).numpy()
        yield given


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
