"""Made-up cells of real genes: types with genes of their own, patients with a shift, cells of unequal depth."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genept.data.hgnc import Gene

N_GENES = 480
CODING = "gene with protein product"
MITOCHONDRIAL = ("MT-ND1", "MT-ND2", "MT-CO1", "MT-CO2", "MT-ATP6")
LETTERS = np.array(list("ACGT"))


@dataclass(frozen=True)
class Panel:
    """The genes of the rehearsal: symbols as files have them, some of them old, and Ensembl ids."""

    symbols: tuple[str, ...]
    ensembl: tuple[str, ...]


def panel(genes: Sequence[Gene], wanted: Sequence[str], n_genes: int = N_GENES, seed: int = 7) -> Panel:
    """Choose genes: the wanted ones that HGNC knows, mitochondrial ones, and others; a few under a former symbol."""
    by_symbol = {gene.symbol: gene for gene in genes if gene.ensembl_id}
    chosen = [symbol for symbol in dict.fromkeys([*wanted, *MITOCHONDRIAL]) if symbol in by_symbol]
    others = sorted(s for s, g in by_symbol.items() if g.locus_type == CODING and "-" not in s and s not in chosen)
    rng = np.random.default_rng(seed)
    n_more = max(60, n_genes - len(chosen))
    chosen += [others[i] for i in sorted(rng.choice(len(others), n_more, replace=False))]
    names = set(by_symbol)
    used = set(chosen)
    symbols = []
    for place, symbol in enumerate(chosen):
        former = [name for name in by_symbol[symbol].previous if name not in names and name not in used]
        take_former = place % 23 == 0 and former and symbol not in wanted
        symbols.append(former[0] if take_former else symbol)
        used.add(symbols[-1])
    return Panel(tuple(symbols), tuple(by_symbol[symbol].ensembl_id for symbol in chosen))


def counts(
    types: Sequence[str], patients: Sequence[str], genes: Panel, own: Mapping[str, Sequence[str]], seed: int
) -> np.ndarray:
    """Draw counts, shape (n_cells, n_genes): Poisson, of a rate by gene, type, patient and cell.

    `own` are the genes that a type has more of than others; a type without any gets some by chance.
    """
    rng = np.random.default_rng(seed)
    n_genes = len(genes.symbols)
    base = rng.gamma(1.5, 1.4, n_genes)
    base[[symbol.startswith("MT-") for symbol in genes.symbols]] = 3.0
    place = {symbol: i for i, symbol in enumerate(genes.symbols)}
    rates, all_own = {}, {place[s] for known in own.values() for s in known if s in place}
    free = np.array(sorted(set(range(n_genes)) - all_own))
    base[sorted(all_own)] = 0.15
    for name in sorted(set(types)):
        columns = [place[s] for s in own.get(name, ()) if s in place]
        rate = base.copy()
        rate[columns] = 12.0
        rate[rng.choice(free, 45, replace=False)] *= 6.0
        rates[name] = rate
    shift = {name: rng.lognormal(0.0, 0.25, n_genes) for name in sorted(set(patients))}
    depth = rng.lognormal(0.0, 0.25, len(types))
    rate = np.array([rates[t] * shift[p] * d for t, p, d in zip(types, patients, depth, strict=True)])
    return rng.poisson(rate).astype(np.int64)


def lognorm(matrix: np.ndarray) -> np.ndarray:
    """Return log1p of counts per 10,000."""
    return np.log1p(matrix / matrix.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


def barcodes(n: int, seed: int, length: int = 16) -> list[str]:
    """Return `n` different barcodes."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < n:
        found["".join(LETTERS[rng.integers(4, size=length)])] = None
    return list(found)


def read_markers(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Read the repository's marker tables: genes by cell type, by the name of the table."""
    tables: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.glob("*.tsv")):
        with path.open(encoding="utf-8") as stream:
            lines = (line for line in stream if not line.startswith("#"))
            for row in csv.DictReader(lines, delimiter="\t"):
                if row.get("cell_type") and row.get("gene"):
                    tables.setdefault(path.stem, {}).setdefault(row["cell_type"], []).append(row["gene"])
    return tables
