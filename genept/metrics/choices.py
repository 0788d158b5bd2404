"""The ``evaluate`` section of ``params.yaml``, checked once, as plain objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genept.core import params as parameters
from genept.core.errors import ParamsError
from genept.data.cells import ANNOTATIONS

LARGEST_SEED = 2**32 - 1  # what numpy's RandomState, and so scikit-learn, takes


@dataclass(frozen=True)
class Section:
    """A mapping of ``params.yaml`` with the name of its place, so that a wrong value can be named in the error."""

    values: dict[str, Any]
    where: str = ""

    def path(self, key: str) -> str:
        """Name the place of `key`, as in ``params.yaml: evaluate.knn.k``."""
        return f"{parameters.PATH}: {f'{self.where}.{key}'.lstrip('.')}"

    def section(self, key: str) -> Section:
        """Return the mapping under `key`."""
        value = self.get(key)
        if not isinstance(value, dict):
            self.refuse(key, "a mapping")
        return Section(value, f"{self.where}.{key}".lstrip("."))

    def get(self, key: str) -> Any:
        """Return a value that must be there."""
        if key not in self.values:
            raise ParamsError(f"{self.path(key)} is missing")
        return self.values[key]

    def refuse(self, key: str, expected: str) -> Any:
        """Raise for a value that is not what it should be."""
        raise ParamsError(f"{self.path(key)} must be {expected}, got {self.values[key]!r}")

    def whole(self, key: str, at_least: int = 1) -> int:
        """Return a whole number."""
        value = self.get(key)
        good = isinstance(value, int) and not isinstance(value, bool) and value >= at_least
        return value if good else self.refuse(key, f"a whole number of at least {at_least}")

    def number(self, key: str, above: float = float("-inf"), below: float = float("inf")) -> float:
        """Return a number strictly between two bounds."""
        value = self.get(key)
        good = isinstance(value, int | float) and not isinstance(value, bool) and above < value < below
        return float(value) if good else self.refuse(key, f"a number above {above} and below {below}")

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.get(key)
        return value if isinstance(value, bool) else self.refuse(key, "true or false")

    def one_of(self, key: str, *options: Any) -> Any:
        """Return one of the named options."""
        value = self.get(key)
        names = ", ".join("null" if option is None else str(option) for option in options)
        return value if value in options else self.refuse(key, f"one of {names}")

    def texts(self, key: str, among: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of texts, which may be empty; each must be `among` the given ones."""
        value = self.get(key)
        if not isinstance(value, list):
            self.refuse(key, "a list")
        if among and any(item not in among for item in value):
            self.refuse(key, f"a list of {', '.join(among)}")
        return tuple(map(str, value))


@dataclass(frozen=True)
class KMeansChoices:
    """How cells are clustered; see `genept.metrics.clustering`."""

    algorithm: str
    batch_size: int
    n_init: int
    repeats: int
    pca_for_patient: int | None


@dataclass(frozen=True)
class SplitChoices:
    """How cells are divided; see `genept.data.splits`."""

    test_size: float
    stratified: bool
    groups: str | None


@dataclass(frozen=True)
class LogregChoices:
    """Which annotations a logistic regression predicts, and how; see `genept.metrics.classification`."""

    max_iter: int
    C: float
    standardise: bool
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """The checked content of ``evaluate``, and the seed."""

    seed: int
    kmeans: KMeansChoices
    split: SplitChoices
    k: int
    metric: str
    logreg: LogregChoices
    ensemble_tie: str
    unknown: tuple[str, ...]


def read_seed(params: dict[str, Any]) -> int:
    """Return the run's seed."""
    seed = params.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= LARGEST_SEED:
        raise ParamsError(f"{parameters.PATH}: seed must be a whole number from 0 to {LARGEST_SEED}, got {seed!r}")
    return seed


def read_split(params: dict[str, Any]) -> SplitChoices:
    """Return how cells are divided; `genept.engines.finetuned` divides them in the same way."""
    section = Section(params).section("evaluate").section("split")
    choices = SplitChoices(
        test_size=section.number("test_size", above=0, below=1),
        stratified=section.flag("stratified"),
        groups=section.one_of("groups", None, *ANNOTATIONS),
    )
    if choices.stratified and choices.groups:
        raise ParamsError(f"{parameters.PATH}: {section.where}: choose stratified or groups, not both")
    return choices


def read_unknown(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels that stand for an unknown cell type."""
    return Section(params).section("evaluate").texts("unknown")


def read(params: dict[str, Any]) -> Choices:
    """Check and return the ``evaluate`` section of `params`.

    Raises
    ------
    ParamsError
        If a choice is missing or is none of its options.
    """
    section = Section(params).section("evaluate")
    kmeans, knn, logreg = (section.section(name) for name in ("kmeans", "knn", "logreg"))
    no_pca = kmeans.get("pca_for_patient") is None
    return Choices(
        seed=read_seed(params),
        kmeans=KMeansChoices(
            algorithm=kmeans.one_of("algorithm", "minibatch", "full"),
            batch_size=kmeans.whole("batch_size"),
            n_init=kmeans.whole("n_init"),
            repeats=kmeans.whole("repeats"),
            pca_for_patient=None if no_pca else kmeans.whole("pca_for_patient"),
        ),
        split=read_split(params),
        k=knn.whole("k"),
        metric=knn.one_of("metric", "cosine", "euclidean"),
        logreg=LogregChoices(
            max_iter=logreg.whole("max_iter"),
            C=logreg.number("C", above=0),
            standardise=logreg.flag("standardise"),
            labels=logreg.texts("labels", among=ANNOTATIONS),
        ),
        ensemble_tie=section.one_of("ensemble_tie", "first", "smallest"),
        unknown=read_unknown(params),
    )
