"""One vector per gene, as a folder on disk: what GenePT-w multiplies expression with.

``vectors.npy``
    float32, shape (n_genes, n_dimensions); can be memory-mapped.
``genes.tsv``
    The gene of every row, same order, with the text that was embedded, for a person to read; of released vectors with
    the name under which the file has the gene. See `VectorGene`.
``card.json``
    What the vectors are and how they were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genept.core import files
from genept.core.errors import InputError
from genept.core.readers import read_matrix

AGAIN = "run the stage that makes it again"


class VectorGene(NamedTuple):
    """The gene of a row."""

    symbol: str
    ensembl_id: str  # empty where unknown
    n_tokens: int  # read of the text by the encoder; 0 if the vector comes from no text
    truncated: bool  # the text was longer than the encoder reads
    text: str  # that was embedded; the file's name of the gene if the vector comes from no text


class GeneVectors(NamedTuple):
    """What a model's folder gets."""

    vectors: np.ndarray  # (n_genes, n_dimensions), float32
    genes: list[VectorGene]
    card: dict[str, Any]
    summary: str  # of what happened, for the command line


def write(folder: Path, vectors: np.ndarray, genes: Sequence[VectorGene], card: dict[str, Any]) -> None:
    """Write vectors of shape (n_genes, n_dimensions), their genes and the card; a folder that is there is replaced.

    `InputError` if a number is NaN or infinite.
    """
    if bad := int((~np.isfinite(vectors).all(axis=1)).sum()):
        raise InputError(f"{folder}: {bad} of {len(genes)} genes got vectors with NaN or infinite numbers")
    header = {"n_genes": len(genes), "n_dimensions": int(vectors.shape[1])}
    lines = ["\t".join(VectorGene._fields)]
    for gene in genes:
        fields = (gene.symbol, gene.ensembl_id, str(gene.n_tokens), str(gene.truncated).lower(), gene.text)
        lines.append("\t".join(" ".join(field.split()) for field in fields))
    with files.replacing_folder(folder) as temporary:
        np.save(temporary / "vectors.npy", np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
        (temporary / "genes.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        files.write_json(temporary / "card.json", {**header, **card})


def read(folder: Path) -> tuple[np.ndarray, list[VectorGene]]:
    """Memory-map the vectors and read their genes.

    `InputError` if a file is damaged, the two disagree on the number of genes, or a gene is there twice.
    """
    vectors = read_matrix(folder / "vectors.npy", AGAIN)
    path = folder / "genes.tsv"
    files.require_file(path)
    try:
        titles, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text in UTF-8; {AGAIN}") from None
    rows = [line.split("\t") for line in lines]
    if titles.split("\t") != list(VectorGene._fields) or any(len(row) != len(VectorGene._fields) for row in rows):
        raise InputError(f"{path}: expected the columns {', '.join(VectorGene._fields)} in every line; {AGAIN}")
    if any(not row[0] or not row[2].isdecimal() or row[3] not in ("true", "false") for row in rows):
        raise InputError(f"{path}: a line without symbol, number of tokens, or true or false; {AGAIN}")
    genes = [VectorGene(row[0], row[1], int(row[2]), row[3] == "true", row[4]) for row in rows]
    if vectors.ndim != 2 or len(vectors) != len(genes):
        raise InputError(
            f"{folder}: vectors.npy has shape {vectors.shape}, but genes.tsv lists {len(genes)} genes; {AGAIN}"
        )
    if len({gene.symbol for gene in genes}) < len(genes):
        raise InputError(f"{path}: a gene is listed twice; every symbol can have one vector only")
    return vectors, genes
