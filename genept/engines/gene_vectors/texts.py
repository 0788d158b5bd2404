"""Gene vectors from texts: a gene's names in HGNC, also its designations in NCBI Gene, or a summary."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from genept.core.errors import InputError, ParamsError
from genept.data.gene_vectors import GeneVectors, VectorGene
from genept.data.hgnc import Gene
from genept.engines.encoder.loading import load_encoder
from genept.engines.gene_vectors import summaries
from genept.engines.genept_w.config import Vectors

NCBI = Path("data/reference/genes_ncbi.py")
LITERAL = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # a Python string
ENTRY = re.compile(rf"^ *(\d+) *: *NtData\(.*?\bother_designations={LITERAL}", re.MULTILINE)


def make(config: Vectors, folder: Path, hgnc_genes: list[Gene], device: str) -> GeneVectors:
    """Embed a text about every gene.

    Parameters
    ----------
    folder
        Where the files of a local encoder, and the summaries, are.
    device
        ``auto``, ``cpu`` or ``cuda``, as in params.yaml.

    Raises
    ------
    InputError
        If a file is missing or damaged, or no gene has a text.
    ParamsError
        If a locus type is the type of no gene.
    """
    chosen, lines, card = write_texts(config, folder, hgnc_genes)
    encoder = load_encoder(config, folder, device)
    encoded = encoder.encode(lines, label="gene texts")
    genes = [
        VectorGene(gene.symbol, gene.ensembl_id, int(n_tokens), bool(truncated), line)
        for gene, n_tokens, truncated, line in zip(chosen, encoded.n_tokens, encoded.truncated, lines, strict=True)
    ]
    n_truncated = int(encoded.truncated.sum())
    card |= {
        **encoder.card(),
        "n_truncated": n_truncated,
        "n_without_ensembl_id": sum(not gene.ensembl_id for gene in genes),
    }
    summary = f"{n_truncated} texts were longer than {encoder.max_length} tokens"
    return GeneVectors(encoded.vectors, genes, card, summary)


def write_texts(config: Vectors, folder: Path, hgnc_genes: list[Gene]) -> tuple[list[Gene], list[str], dict[str, Any]]:
    """Choose the genes, write the text of each, and describe both for the card; see `make`."""
    genes = choose(hgnc_genes, config.locus_types)
    card: dict[str, Any] = {"vectors": "text", "text": config.text}
    if config.text == "name":
        lines = [name(gene) for gene in genes]
    elif config.text == "long":
        designations = read_designations()
        lines = [long(gene, designations) for gene in genes]
    else:
        found = summaries.read(folder / str(config.summaries), hgnc_genes)
        without = [gene for gene in genes if gene.symbol not in found.texts]
        if config.without_summary == "leave_out":
            genes = [gene for gene in genes if gene.symbol in found.texts]
        if not genes:
            raise InputError(f"{folder / str(config.summaries)}: none of the chosen genes has a summary")
        lines = [found.texts.get(gene.symbol) or name(gene) for gene in genes]
        card |= {"summaries": found.card, "without_summary": config.without_summary or "name"}
        card["n_without_summary"] = len(without)
    return genes, lines, {**card, "locus_types": config.locus_types}


def choose(genes: Iterable[Gene], locus_types: Collection[str] | None) -> list[Gene]:
    """Return the genes of the given HGNC locus types, or all of them for None, in the order given."""
    genes = list(genes)
    known = {gene.locus_type for gene in genes}
    for locus_type in locus_types or ():
        if locus_type not in known:
            raise ParamsError(
                f"vectors.locus_types: no gene is of type {locus_type!r}; HGNC has {', '.join(sorted(known))}"
            )
    return [gene for gene in genes if locus_types is None or gene.locus_type in locus_types]


def name(gene: Gene) -> str:
    """``CD19: CD19 molecule``."""
    return f"{gene.symbol}: {gene.name}"


def long(gene: Gene, designations: Mapping[str, list[str]]) -> str:
    """``CD19: CD19 molecule. Also known as: B4, CVID3. Designations: B-lymphocyte antigen CD19; ...``."""
    parts = [name(gene)]
    if gene.aliases:
        parts.append(f"Also known as: {', '.join(gene.aliases)}")
    if found := designations.get(gene.ncbi_id):
        parts.append(f"Designations: {'; '.join(found)}")
    return ". ".join(parts)


def read_designations(path: Path = NCBI) -> dict[str, list[str]]:
    """Read the other designations of every gene in GOATOOLS' NCBI table, by NCBI Gene id.

    The table is Python source. It is searched as text and never run; only its string literals are evaluated.
    """
    found = {
        ncbi_id: [designation for designation in ast.literal_eval(literal).split("|") if designation]
        for ncbi_id, literal in ENTRY.findall(path.read_text(encoding="utf-8"))
    }
    if not found:
        raise InputError(f"{path}: no gene found; expected GOATOOLS' table of NCBI genes")
    return found
