"""A released file of vectors, its entry, and the command that takes it over."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner, Result

from genept.core import files
from genept.data import gene_vectors
from stages.vectors import main

FILE = "GenePT_gene_embedding_ada_text.pickle"
PATH = Path("data/encoders/ada") / FILE
MODEL = Path("models/ada")


def write_params(entry: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"threads": 1, "device": "cpu", "models": {"ada": entry}}))


def run(command: str = "released") -> Result:
    return CliRunner().invoke(main, [command, "ada"])


def take(content: Any, protocol: int = 4) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Write the pickle, run the command, and return the vectors by symbol, and the card."""
    PATH.write_bytes(pickle.dumps(content, protocol=protocol))
    result = run()
    assert result.exit_code == 0, result.output
    vectors, genes = gene_vectors.read(MODEL)
    return {gene.symbol: row for gene, row in zip(genes, vectors, strict=True)}, files.read_json(MODEL / "card.json")


def draw(n_genes: int, n_dimensions: int = 1536) -> list[list[float]]:
    return np.random.default_rng(0).normal(size=(n_genes, n_dimensions)).tolist()
