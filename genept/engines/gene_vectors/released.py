"""Gene vectors that somebody else made and released: GenePT's, one text vector per gene symbol.

Chen & Zou release pickles from symbol to vector. The first release (Zenodo 10030426), which their notebook loads, has
``GPT_3_5_gene_embeddings.pickle``: NCBI summaries read by text-embedding-ada-002, 1,536 numbers. The second (Zenodo
10833191) has the same of more genes, ``GenePT_gene_embedding_ada_text.pickle``, and, with UniProt's summaries,
``GenePT_gene_protein_embedding_model_3_text.pickle``, read by text-embedding-3-large, 3,072 numbers. Their symbols are
of several years. They are harmonised by the rules for datasets (`genept.data.genes`), so that file and dataset call a
gene by the same name; upstream looks symbols up as they are, so ``genes.tsv`` also keeps the file's own name of each.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from genept.core import files, pickles
from genept.core.errors import InputError
from genept.data.gene_vectors import GeneVectors, VectorGene
from genept.data.genes import KNOWN, Harmonised, Table, under_approved_symbols, unversioned
from genept.data.hgnc import Gene
from genept.engines.genept_w.config import Vectors


def make(config: Vectors, folder: Path, hgnc_genes: list[Gene]) -> GeneVectors:
    """Read the released vectors in `folder` under approved symbols, in the order of the file.

    `InputError` if the file is refused or damaged, is no dictionary from symbols to finite vectors of one length, has
    another number of genes or dimensions than declared, or no symbol that HGNC knows.
    """
    path = folder / str(config.released)
    names, vectors = read(path)
    declarations = (("genes", len(names), config.n_genes), ("dimensions", vectors.shape[1], config.n_dimensions))
    for what, found, declared in declarations:
        if declared not in (None, found):
            raise InputError(
                f"{path}: has {found:,} {what}, not the {declared:,} of vectors.n_{what}; another release?"
            )
    table = Table(hgnc_genes)
    harmonised = under_approved_symbols(path, names, table)
    genes = [
        VectorGene(symbol, ensembl_id, n_tokens=0, truncated=False, text=name)
        for symbol, ensembl_id, name in zip(
            harmonised.symbols, harmonised.ensembl_ids, harmonised.original, strict=True
        )
    ]
    counts = account(names, harmonised, table)
    return GeneVectors(
        vectors if len(genes) == len(names) else vectors[harmonised.keep],
        genes,
        {"vectors": "released", "file": path.name, "sha256": files.sha256(path), **counts},
        f"{counts['n_renamed']} under a newer symbol, {counts['n_collisions']} under their own because the newer has a "
        f"vector, {counts['n_dropped']} dropped",
    )


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Read the names and their vectors, float32 of shape (n_names, n_dimensions), in the order of the file."""
    content = pickles.load(path, pack=True)
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise InputError(f"{path}: expected a dictionary from gene symbols to vectors")
    names = list(content)
    n_dimensions = len(numbers(path, names[0], content[names[0]]))
    vectors = np.empty((len(names), n_dimensions), dtype=np.float32)
    for row, name in enumerate(names):
        vector = numbers(path, name, content.pop(name))  # frees it: twice all vectors would be a lot
        if len(vector) != n_dimensions:
            raise InputError(
                f"{path}: {names[0]} has a vector of {n_dimensions} numbers and {name} one of {len(vector)}; all must "
                "have one length"
            )
        if not np.isfinite(vector).all():
            raise InputError(f"{path}: the vector of {name} has NaN or infinite numbers; fetch it again")
        vectors[row] = vector
    return names, vectors


def numbers(path: Path, name: str, value: Any) -> np.ndarray:
    """Return one vector, shape (n_dimensions,), or complain that it is none."""
    kinds = set(map(type, value)) if isinstance(value, list) else set()
    if kinds and kinds <= {int, float}:
        with contextlib.suppress(OverflowError):  # a whole number beyond any float
            value = np.array(value, dtype=np.float64)
    if not isinstance(value, np.ndarray) or not value.size:
        raise InputError(f"{path}: {name} has no vector; expected a list or an array of numbers")
    return pickles.narrow(value)


def account(names: list[str], harmonised: Harmonised, table: Table) -> dict[str, Any]:
    """Count what became of a file's names: what found them, which were renamed, which collided, which were dropped.

    A collision is a name whose gene is there under a better name: approved before previous before alias. It stays,
    under its own name, as it would in a dataset that has both.
    """
    found = list(zip(harmonised.original, harmonised.symbols, harmonised.how, strict=True))
    genes = {name: table.find(unversioned(name) or name).gene for name, _, how in found if how not in KNOWN}
    collisions = {name: gene.symbol for name, gene in genes.items() if gene}
    return {
        "n_in_file": len(names),
        "n_renamed": sum(how in KNOWN and name != symbol for name, symbol, how in found),
        "n_found_by": dict(sorted(Counter(harmonised.how).items())),
        "n_dropped": len(harmonised.dropped),
        "dropped_as_repeated": harmonised.dropped,
        "n_collisions": len(collisions),
        "collisions": collisions,
        "n_without_ensembl_id": sum(not ensembl_id for ensembl_id in harmonised.ensembl_ids),
    }
