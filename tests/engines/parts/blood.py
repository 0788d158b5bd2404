"""A dataset of 40 small cells in four parts, a model of every engine, and runs of these."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from click.testing import CliRunner, Result

from genept.core import files
from genept.data import cells, embeddings, parts
from genept.datasets import copies, labelled, matrix
from genept.engines import finished, sums
from stages.embed import main
from tests import children, helpers

N_CELLS, N_PARTS = 40, 4  # of 11 cells, and the last of 7
SCGPT = helpers.ROOT / "tests/fixtures/scgpt"
SYMBOLS = [*list(json.loads((SCGPT / "vocab.json").read_text()))[:57], "NONE1", "NONE2", "NONE3"]
FOLDER, CACHE = Path("data/blood/labelled"), Path("data/cache/embed/blood")
IDS = [f"ENSG{number:011d}" for number in range(1, len(SYMBOLS) + 1)]
BY_PARTS = """
from genept.core.config import Config
from genept.core.notes import Total
from genept.engines.config import ModelConfig
import numpy as np

BY_PARTS = True

class Embed(Config):
    factor: int = 2

class Model(ModelConfig):
    embed: Embed = Embed()

def embed(cells, folder, config, device):
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * config.embed.factor
    lengths = cells.obs["cell_type"].astype(str).map(len)
    return np.column_stack([totals, lengths]), {"n_b": Total((cells.obs["cell_type"] == "B").sum())}
"""
ENTRIES: dict[str, dict[str, Any]] = {
    "words": {"engine": "genept_w", "vectors": {"released": "x"}, "embed": {}},
    "control": {"engine": "genept_w", "control": "random", "draws": 3, "embed": {}},
    "expression": {"embed": {"n_components": 5}},
    "scgpt": {"engine": "scgpt", "embed": {}},
    "geneformer": {"engine": "geneformer", "embed": {}},
    "sentences": {"engine": "genept_s", "embed": {}},
    "mine": {"embed": {"factor": 2}},
}


def few_cells(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "CELLS", 11)
    patch.setattr(cells, "IN_ONE_FILE", 10)
    patch.setattr(sums, "PARTS", 1)


def make(n_cells: int = N_CELLS, x: str = "counts") -> AnnData:
    """Cells, the first ones always the same."""
    rng = np.random.default_rng(3)
    values = rng.poisson(rng.gamma(0.7, 2.0, (100, len(SYMBOLS))))[:n_cells].astype(np.float32)
    values[4], values[4, 59] = 0, 4  # a cell that expresses a single gene, which most models do not know
    values[2, 3] = 70_000  # more than 16 bits
    if x == "lognorm":
        values = np.log1p(values / values.sum(axis=1, keepdims=True) * 10_000).astype(np.float32)
    names = pd.Index([f"cell{number}" for number in range(n_cells)], name="cell_id")
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.array(["B", "T"])[np.arange(n_cells) % 2])}, index=names)
    var = pd.DataFrame({"ensembl_id": IDS, "original_symbol": SYMBOLS}, index=pd.Index(SYMBOLS, name="symbol"))
    return AnnData(sp.csr_matrix(values), obs, var, uns={"x": x, "x_dtype": "float32", "label_source": "author"})


def write(data: AnnData) -> None:
    """Write what `stages.label` would."""
    x = matrix.in_memory(data.X)
    with files.replacing_folder(FOLDER) as folder:
        chosen = labelled.Chosen(x, data.obs, copies.digests(x)[0])
        labelled.write(folder, chosen, data.var, dict(data.uns), "blood")


def run(model: str) -> Result:
    return CliRunner().invoke(main, ["blood", model], catch_exceptions=False)


def written(model: str) -> list[bytes]:
    return [path("blood", model).read_bytes() for path in (embeddings.matrix_path, embeddings.notes_path)]


def embed(model: str) -> list[bytes]:
    """Run, and return the matrix and the notes."""
    result = run(model)
    assert result.exit_code == 0, result.output
    return written(model)


def embedded(model: str, data: AnnData) -> tuple[np.ndarray, dict[str, Any]]:
    embed(model)
    return np.array(embeddings.read_draws("blood", model, list(data.obs_names))), embeddings.read_notes("blood", model)


def kept(model: str) -> list[Path]:
    return sorted((CACHE / model / "parts").glob("*.npz"))


def run_until(model: str, number: int, how: Callable[[], object]) -> children.Ended:
    """Run in a process of its own; before finished file `number`, counted from 0, is written, something happens."""
    function = "write_sums" if model == "expression" else "write_part"
    return children.run(main, ["blood", model], partial(children.on_call, number, finished, function, how))


UNDISTURBED: dict[str, list[bytes]] = {}  # by the model


def undisturbed(model: str) -> list[bytes]:
    """What a run writes, of which nothing is on disk."""
    if model not in UNDISTURBED:
        UNDISTURBED[model] = embed(model)
        remove_results()
    return UNDISTURBED[model]


def remove_results() -> None:
    shutil.rmtree(CACHE)
    shutil.rmtree(FOLDER.parent / "embeddings")


def no_temporary_files() -> bool:
    return not list(Path().rglob(f"{files.WRITING}*"))


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
