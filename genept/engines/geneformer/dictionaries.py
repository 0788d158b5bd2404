"""Geneformer's dictionaries: Ensembl id -> token, Ensembl id -> median expression, optionally alias -> Ensembl id.

Upstream releases them as pickles and has renamed them more than once (``token_dictionary.pkl``,
``token_dictionary_gc30M.pkl``, ``_gc95M``, ``_gc104M``), so they are found by the beginning of the name. They are read
by `genept.core.pickles`, which runs nothing.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genept.core import files, pickles
from genept.core.errors import InputError

PAD, MASK, CLS, EOS = "<pad>", "<mask>", "<cls>", "<eos>"
TOKENS, MEDIANS, ALIASES = "token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict"


@dataclass(frozen=True)
class Dictionaries:
    """What turns a cell's counts into tokens."""

    tokens: dict[str, int]
    """Token of every gene, by Ensembl id, and of the special tokens."""
    medians: dict[str, float]
    """Median over cells of a gene's non-zero counts per 10,000, by Ensembl id."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Ensembl id by other names of a gene, in upper case; empty in the first release."""

    @property
    def version(self) -> str:
        """``V2`` if cells are framed by <cls> and <eos>, else ``V1``: the dictionary has those tokens or has not."""
        return "V2" if CLS in self.tokens else "V1"

    def gene(self, name: str) -> str:
        """Return the Ensembl id that a name stands for; itself if it is no alias."""
        return self.aliases.get(name.upper(), name)


def read(folder: Path) -> Dictionaries:
    """Read the dictionaries of a model folder; `InputError` if they are missing, damaged or of different releases."""
    tokens = read_pickle(find(folder, TOKENS), int)
    medians = read_pickle(find(folder, MEDIANS), float)
    aliases = read_pickle(find(folder, ALIASES), str) if any(folder.glob(f"{ALIASES}*.pkl")) else {}
    if PAD not in tokens or (CLS in tokens) != (EOS in tokens):
        raise InputError(f"{folder}: the token dictionary must have {PAD}, and both or none of {CLS} and {EOS}")
    if sorted(tokens.values()) != list(range(len(tokens))):
        raise InputError(f"{folder}: the token dictionary does not number its entries from 0 without gaps")
    unusable = [gene for gene in tokens if not gene.startswith("<") and not 0 < medians.get(gene, math.nan) < math.inf]
    if unusable:
        genes = f"{len(unusable)} genes of the token dictionary have no positive median ({unusable[0]}, ...)"
        raise InputError(f"{folder}: {genes}; the two files must be of one release")
    return Dictionaries(tokens, medians, aliases)


def write(folder: Path, tokens: Mapping[str, int], medians: Mapping[str, float]) -> None:
    """Write the two dictionaries under the names of the first release, as pickles of plain numbers and text."""
    for name, dictionary, number in ((TOKENS, tokens, int), (MEDIANS, medians, float)):
        plain = {str(gene): number(value) for gene, value in dictionary.items()}
        with files.replacing(folder / f"{name}.pkl") as path:
            path.write_bytes(pickle.dumps(plain, protocol=4))


def find(folder: Path, kind: str) -> Path:
    """Return the one file of a kind in `folder`, whichever release named it."""
    paths = sorted(folder.glob(f"{kind}*.pkl"))
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise InputError(f"{folder}: expected one {kind}*.pkl, found {names}; keep the one of the checkpoint's release")
    return paths[0]


def read_pickle(path: Path, kind: type) -> dict[str, Any]:
    """Read a pickled dictionary from text to values of one kind (int, float or str), running nothing."""
    content = pickles.load(path)
    accepted = (int, float) if kind is float else kind
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, accepted) for key, value in content.items()
    ):
        raise InputError(f"{path}: expected a dictionary from text to {kind.__name__}")
    return content
