"""A model that is to embed a dataset: which code does it, and all that the vectors depend on beside the cells."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from genept.core import files
from genept.core.errors import ParamsError
from genept.core.params import Params
from genept.engines import config as models
from genept.engines import custom
from genept.engines.network.job import CHECKPOINTS

if TYPE_CHECKING:
    from anndata import AnnData

    from genept.data.cells import Cells, Some

ABOUT = {"title", "note", "paper", "source"}  # settings of a model's file that move no number
Result = tuple[np.ndarray, dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """A model that is to embed a dataset."""

    dataset: str
    model: str
    params: Params

    def __reduce__(self) -> tuple[type[Work], tuple[str, str, Params]]:
        """Travel to a worker without what was read here."""
        return Work, (self.dataset, self.model, self.params)

    @property
    def name(self) -> str:
        """What stands before its lines in a log."""
        return f"{self.dataset} x {self.model}"

    @property
    def kept(self) -> Path:
        """The folder in which what is finished is kept for the next run."""
        return files.shared(CHECKPOINTS) / self.dataset / self.model

    @property
    def is_free(self) -> bool:
        """Whether it costs no money, which several workers would spend without knowing of each other."""
        return getattr(getattr(self.config, "embed", None), "encoder", None) != "openai"

    @functools.cached_property
    def config(self) -> Any:
        """The model's settings."""
        return models.read(self.model)

    @functools.cached_property
    def code(self) -> ModuleType:
        """The module that embeds."""
        return models.code(self.model, self.config)

    @property
    def is_control(self) -> bool:
        """Whether the gene vectors are made from those of another model."""
        return bool(self.config.engine and getattr(self.config, "control", None))

    @functools.cached_property
    def folder(self) -> Path:
        """What an earlier stage made or fetched for the model, of a control for the first of grid.models.genept_w."""
        if not self.is_control:
            return models.MODELS / self.model
        if not self.params.grid.models.genept_w:
            raise ParamsError("params.yaml: grid.models.genept_w is empty; a control is made from its first model")
        return models.MODELS / self.params.grid.models.genept_w[0]

    @property
    def has_sums(self) -> bool:
        """Whether the model has to know sums over all cells."""
        return hasattr(self.code, "add") and hasattr(self.code, "survey")

    @property
    def needs_all(self) -> bool:
        """Whether the embedding of a cell depends on the other cells, as far as is known."""
        return self.config.engine is None and not getattr(self.code, "BY_PARTS", False)

    def embed(self, cells: AnnData) -> Result:
        """Embed some cells: float32, shape ([n_draws,] n_cells, n_dimensions), and notes."""
        if self.is_control:
            result = self.code.embed_control(cells, self.folder, self.config, self.params.device, seed=self.params.seed)
        elif self.config.engine:
            result = self.code.embed(cells, self.folder, self.config, self.params.device)
        else:
            result = custom.embed(self.code, cells, self.folder, self.config, self.params.device)
        return result

    def add(self, cells: AnnData, sums: dict[str, np.ndarray]) -> None:
        """Add to `sums` what the model has to know of all cells, of some of them."""
        if self.config.engine:
            self.code.add(cells, sums, self.config)
        else:
            custom.add(self.code, cells, sums, self.config)

    def survey(self, cells: Cells, sums: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return what the model has to know of all cells before it embeds some, the `sums` being of all."""
        if not hasattr(self.code, "survey"):
            return {}
        survey = self.code.survey if self.config.engine else functools.partial(custom.survey, self.code)
        return survey(cells, sums, self.config)

    def annotations(self, part: Some) -> list[str]:
        """Return the annotations of some cells if they may move a number: only code of users is given to read them."""
        return [] if self.config.engine else [part.obs().to_csv()]

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """Hashes of what an embedding depends on beside cells and code."""
        walked = os.walk(self.folder, followlinks=True)
        within = [Path(folder, name) for folder, _, names in walked for name in names]
        own = [path for path in within if path.is_file() and "__pycache__" not in path.parts]
        model_files = {path.relative_to(self.folder).as_posix(): files.sha256(path) for path in own}
        seed = self.params.seed if self.is_control else None
        server = None if self.is_free else os.environ.get("OPENAI_BASE_URL")
        settings = [self.config.model_dump(mode="json", exclude=ABOUT), seed, server]
        return {f"settings of {self.model}": digest(settings), f"files in {self.folder}": digest(model_files)}

    @functools.cached_property
    def identity(self) -> str:
        """A hash of all that an embedding depends on beside the cells; of threads depend a network's last bits."""
        return digest([self.hashes, files.code_sha256(Path(str(self.code.__file__))), self.params.threads])


def digest(content: Any) -> str:
    """Return a hash of what JSON can hold, and of arrays in it."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=of_array).encode()).hexdigest()


def of_array(values: np.ndarray) -> list[Any]:
    """Return what tells an array from others."""
    return [str(values.dtype), list(values.shape), hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()]
