"""``params.yaml``: the protocol, what runs (the grid) and on what it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from genept.core.config import Config, Name, Rounds, Size
from genept.core.errors import nearest

PATH = Path("params.yaml")
ENSEMBLE = "ensemble"
MAJORITY, RANDOM_CELLS, SUPERVISED = "majority", "random_cells", "supervised"  # see `genept.metrics.bounds`
Annotation = Literal["cell_type", "patient", "phenotype", "disease", "cancer_type", "age", "age_bin", "batch"]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what numpy's RandomState, and so scikit-learn, takes
Distance = Literal["cosine", "centred_cosine", "euclidean"]
Share = Annotated[float, Field(gt=0, lt=1)]
Cells = Annotated[int, Field(ge=100, le=1_000_000_000)]


class Models(Config):
    """The models of a grid by how they are made; each list has its stages in ``dvc.yaml``."""

    custom: list[Name] = []  # models/<model>.py
    controls: list[Name] = []  # gene vectors that mean nothing, made from those of the first of `genept_w`
    genept_w: list[Name] = []
    genept_s: list[Name] = []
    scgpt: list[Name] = []  # released checkpoints
    geneformer: list[Name] = []
    scgpt_trained: list[Name] = []  # trained here
    geneformer_trained: list[Name] = []
    finetuned: list[Name] = []  # heads on the first of `genept_w`

    @property
    def names(self) -> list[str]:
        """Every model, in the order of tables and pictures."""
        return [name for key in type(self).model_fields for name in getattr(self, key)]


class Grid(Config):
    """What runs."""

    datasets: Annotated[list[Name], Field(min_length=1)]
    models: Models
    pretrain: list[Name] = []  # the datasets whose cells outside the evaluated subset train models here
    ensemble: list[Name] = []  # the models of the ensemble; any number, none for no ensemble

    @property
    def heads_on_controls(self) -> dict[str, tuple[str, str]]:
        """Names of the fine-tuned models' heads on controls: the fine-tuned model and the control of each.

        ``random_ft_minilm`` is the head of ``genept_w_ft_minilm`` on ``random_w``.
        """
        return {
            f"{control.removesuffix('_w')}_{head.removeprefix('genept_w_')}": (head, control)
            for head in self.models.finetuned
            for control in self.models.controls
        }

    @property
    def scored(self) -> list[str]:
        """Every row of the tables: models, heads on controls, the ensemble, and what scores lie between."""
        ensemble = [ENSEMBLE] if self.ensemble else []
        return [*self.models.names, *self.heads_on_controls, *ensemble, MAJORITY, RANDOM_CELLS, SUPERVISED]

    @model_validator(mode="after")
    def check_names(self) -> Grid:
        """Check that names can be names, stand once and exist where others refer to them."""
        lists = {"datasets": self.datasets, "pretrain": self.pretrain, "ensemble": self.ensemble}
        lists["models"] = self.models.names
        for key, names in lists.items():
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{key}: {name!r} stands twice")
        if not self.models.names:
            raise ValueError("models: names no model; name at least one")
        for name in self.models.names:
            if name in (ENSEMBLE, MAJORITY, RANDOM_CELLS, SUPERVISED, *self.heads_on_controls):
                raise ValueError(f"models: {name!r} is the name of a row that every table has")
        if len(self.heads_on_controls) < len(self.models.finetuned) * len(self.models.controls):
            raise ValueError("models: two heads of finetuned on controls would have one name; rename one")
        if (self.models.controls or self.models.finetuned) and not self.models.genept_w:
            raise ValueError("models: controls and finetuned are made from the first of genept_w, which is empty")
        if (self.models.scgpt_trained or self.models.geneformer_trained) and not self.pretrain:
            raise ValueError("pretrain: names no dataset to train scgpt_trained and geneformer_trained on")
        for key, names, known in (
            ("pretrain", self.pretrain, self.datasets),
            ("ensemble", self.ensemble, [name for name in self.models.names if name not in self.models.finetuned]),
        ):
            for name in names:
                if name not in known:
                    hint = nearest(name, known) or "."
                    raise ValueError(f"{key}: {name!r} is not in the grid{hint} It has {', '.join(known) or 'none'}")
        return self


class KMeans(Config):
    """How cells are clustered (Table 2)."""

    algorithm: Literal["minibatch", "full"]
    batch_size: Size
    n_init: Rounds
    pca_for_patient: Size | None


class Split(Config):
    """How cells are divided into training and test cells (Table C4, Section 4.4)."""

    test_size: Share
    stratified: bool
    groups: Annotation | None  # held out whole, beside the division of single cells


class KNN(Config):
    """The nearest-neighbour classifier (Table C4)."""

    k: Size
    tie: Literal["nearest", "smallest"]


class Logreg(Config):
    """The logistic regression (Section 4.4)."""

    max_iter: Rounds
    C: PositiveFloat
    labels: list[Annotation]


class Sample(Config):
    """How many cells are drawn of a dataset with more than `above`; all of a smaller one are scored."""

    above: Cells
    anchors: Cells
    test_cells: Cells
    training_cells: Cells
    head_cells: Cells


class Evaluate(Config):
    """How embeddings are scored: a protocol."""

    seed: Seed | None  # of splits and k-means; None: that of the run
    repeats: Rounds
    metric: Distance
    asw: Distance | None  # of silhouettes; None: as `metric`
    kmeans: KMeans
    split: Split
    knn: KNN
    logreg: Logreg
    min_test_cells: Size
    sample: Sample
    ensemble: Literal["pooled", "vote"]
    vote_tie: Literal["smallest", "first"]


class QC(Config):
    """Which cells an annotation keeps; None is no limit."""

    min_genes: Size
    max_genes: Size | None
    max_mitochondrial: Annotated[float, Field(ge=0, le=1)] | None
    min_cells_per_gene: Size

    @model_validator(mode="after")
    def check(self) -> QC:
        """Refuse limits that no cell can meet."""
        if self.max_genes is not None and self.max_genes < self.min_genes:
            raise ValueError(f"max_genes must be at least min_genes, {self.min_genes}")
        return self


class Annotate(Config):
    """How cell types are given to a dataset whose authors published none."""

    qc: QC
    n_hvgs: Annotated[int, Field(ge=2, le=1_000_000)]
    n_components: Size
    n_neighbors: Annotated[int, Field(ge=3, le=1_000_000)]
    resolution: PositiveFloat
    most_cells: Annotated[int, Field(ge=30)]  # that make the clusters
    min_margin: Annotated[float, Field(ge=0)]
    seed: Seed
    umap_epochs: Rounds


class Label(Config):
    """How labels are recorded."""

    min_class_size: Size
    missing_labels: list[str] = []  # texts that are no label, in any case
    least_known_genes: Annotated[float, Field(ge=0, le=1)] = 0.1  # share of gene names that HGNC must know
    accept_unexpected: list[Name] = []  # datasets whose files may differ from their `expected`; then not the paper's


class Plot(Config):
    """How embeddings are laid out and drawn (Figures 3 and D8)."""

    n_components_pca: Size
    n_neighbors: Annotated[int, Field(ge=2, le=1_000_000)]
    min_dist: Annotated[float, Field(ge=0)]
    spread: PositiveFloat
    n_epochs: Rounds | None
    above: Cells  # of a dataset with more cells, as many are drawn
    seed: Seed

    @model_validator(mode="after")
    def check(self) -> Plot:
        """Refuse what UMAP refuses."""
        if self.min_dist > self.spread:
            raise ValueError(f"min_dist must be at most spread, {self.spread}")
        return self


class Params(Config):
    """The content of ``params.yaml``."""

    seed: Seed
    threads: Annotated[int, Field(ge=1, le=1024)]
    device: Literal["auto", "cpu", "cuda"]
    executor: Literal["local", "dask"] = "local"  # of what embeds datasets in parts
    scheduler: str | None = None  # the address of Dask's; None: DASK_SCHEDULER_ADDRESS, or workers on this machine
    baseline: Name
    annotate: Annotate
    label: Label
    evaluate: Evaluate
    protocols: dict[str, Evaluate]
    plot: Plot
    grid: Grid
    grids: dict[str, Grid]

    @model_validator(mode="after")
    def check(self) -> Params:
        """Check that the baseline is in the grid, and that the authors' protocol is there, which the paper needs."""
        if AUTHORS not in self.protocols:
            raise ValueError(f"protocols: {AUTHORS!r} is missing")
        names = [name for name in self.grid.models.names if name not in self.grid.models.finetuned]
        if self.baseline not in names:
            hint = nearest(self.baseline, names) or "."
            raise ValueError(f"baseline: {self.baseline!r} is not in the grid{hint} It has {', '.join(names)}")
        return self

    @property
    def scoring_seed(self) -> int:
        """The seed of splits and k-means."""
        return self.seed if self.evaluate.seed is None else self.evaluate.seed

    def by(self, protocol: str) -> Params:
        """Return the same with another protocol."""
        return self.model_copy(update={"evaluate": self.protocols[protocol]})

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield every dataset with every model that is scored on it, in the order of the tables."""
        for dataset in self.grid.datasets:
            yield from ((dataset, model) for model in self.grid.scored)


OWN, AUTHORS = "evaluate", "authors"  # protocols: that of the settings, and that of the paper's authors


def load(path: Path = PATH) -> Params:
    """Read ``params.yaml``; errors are those of `Config.parse` and `genept.core.config.read_yaml`."""
    return Params.read(path)
