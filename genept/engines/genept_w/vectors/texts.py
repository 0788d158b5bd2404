"""What the encoder reads of a gene: its names in HGNC, also the designations in NCBI Gene, or a summary."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from genept.core.errors import InputError, ParamsError
from genept.data.hgnc import Gene

KINDS = ("name", "long", "summary")
WITHOUT_SUMMARY = ("name", "leave_out")
NCBI = Path("data/reference/ncbi/genes_ncbi.py")
LITERAL = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""  # a Python string
ENTRY = re.compile(rf"^ *(\d+) *: *NtData\(.*?\bother_designations={LITERAL}", re.MULTILINE)


def choose(genes: Iterable[Gene], locus_types: Collection[str] | None) -> list[Gene]:
    """Return the genes of the given HGNC locus types, or all of them for None, in the order given.

    Raises
    ------
    ParamsError
        If a locus type is the type of no gene.
    """
    genes = list(genes)
    if locus_types is None:
        return genes
    known = {gene.locus_type for gene in genes}
    for locus_type in locus_types:
        if locus_type not in known:
            raise ParamsError(
                f"params.yaml: locus_types: no gene is of type {locus_type!r}; HGNC has {', '.join(sorted(known))}"
            )
    return [gene for gene in genes if gene.locus_type in locus_types]


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


def with_summary(
    genes: Iterable[Gene], summaries: Mapping[str, str], without: str | None
) -> tuple[list[Gene], list[str], int]:
    """Return the genes, the summary of each, and how many have none: those are read by name, or left out.

    Raises
    ------
    ParamsError
        If `without` is neither ``name`` (or None) nor ``leave_out``.
    """
    if without not in (None, *WITHOUT_SUMMARY):
        raise ParamsError(
            f"params.yaml: vectors.without_summary must be {' or '.join(WITHOUT_SUMMARY)}, got {without!r}"
        )
    genes = list(genes)
    kept = [gene for gene in genes if gene.symbol in summaries or without != "leave_out"]
    lines = [summaries.get(gene.symbol) or name(gene) for gene in kept]
    return kept, lines, sum(gene.symbol not in summaries for gene in genes)


def read_designations(path: Path = NCBI) -> dict[str, list[str]]:
    """Read the other designations of every gene in GOATOOLS' NCBI table, by NCBI Gene id.

    The table is Python source. It is searched as text and never run; only its string literals are evaluated.

    Raises
    ------
    InputError
        If it holds no gene.
    """
    found = {
        ncbi_id: [designation for designation in ast.literal_eval(literal).split("|") if designation]
        for ncbi_id, literal in ENTRY.findall(path.read_text(encoding="utf-8"))
    }
    if not found:
        raise InputError(f"{path}: no gene found; expected GOATOOLS' table of NCBI genes")
    return found
