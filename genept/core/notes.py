"""Notes beside an embedding, and how those of some cells and of others become those of all.

An engine notes numbers that grow with the cells as `Total` and means as `Mean`: for everybody else they are an int and
a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from genept.core.errors import InputError

LEAST, MOST = "_min", "_max"  # how names of the smallest and the largest of some numbers end
COMPARABLE, JOINED = "comparable", ("device", "reason")


class Total(int):
    """A number that adds up over cells."""


class Amount(float):
    """A number with a fraction that adds up over cells, to 6 decimals."""


class Mean(float):
    """`total` divided by `n`, rounded to some digits; 0 of nothing."""

    total: float
    n: float
    digits: int

    def __new__(cls, total: float, n: float, digits: int) -> Self:
        """Divide and round, and keep what was divided."""
        mean = super().__new__(cls, round(float(total / n), digits) if n else 0.0)
        mean.total, mean.n, mean.digits = float(total), float(n), digits
        return mean

    def __getnewargs__(self) -> tuple[float, float, int]:  # type: ignore[override]
        """Return what a copy, or one in another process, is made of."""
        return self.total, self.n, self.digits


def merged(parts: Sequence[dict[str, Any]], where: str = "notes") -> dict[str, Any]:
    """Return the notes of all cells, given those of some cells after the other.

    Totals are added and means weighted, in the order of the parts. Of names that end in ``_min`` or ``_max`` the
    smallest and the largest number stay. `comparable` is only what is so everywhere. Each `device` and `reason` is
    named. `InputError` if any other note differs.
    """
    names = dict.fromkeys(name for notes in parts for name in notes)
    return {name: of_all(name, [notes[name] for notes in parts if name in notes], f"{where}: {name}") for name in names}


def of_all(name: str, values: Sequence[Any], where: str) -> Any:
    """Return what one note is for all cells."""
    first = values[0]
    if isinstance(first, Total):
        return Total(sum(values))
    if isinstance(first, Amount):
        return Amount(round(sum(values), 6))
    if isinstance(first, Mean):
        return Mean(sum(value.total for value in values), sum(value.n for value in values), first.digits)
    if all(isinstance(value, dict) for value in values):
        return merged(values, where)
    if name.endswith((LEAST, MOST)) and isinstance(first, int | float):
        return min(values) if name.endswith(LEAST) else max(values)
    different = list(dict.fromkeys(map(repr, values)))
    if len(different) == 1:
        return first
    if name == COMPARABLE:
        return all(values)
    if name in JOINED and all(isinstance(value, str) for value in values):
        return ", ".join(dict.fromkeys(values))
    raise InputError(
        f"{where} differs between parts of the cells ({different[0][:50]}, {different[1][:50]}); note what adds up as "
        "genept.core.notes.Total, a mean as Mean"
    )


def packed(notes: Any) -> Any:
    """Return notes as JSON holds them without loss; `unpacked` undoes it."""
    if isinstance(notes, Total):
        return {"total": int(notes)}
    if isinstance(notes, Amount):
        return {"amount": float(notes)}
    if isinstance(notes, Mean):
        return {"mean": [notes.total, notes.n, notes.digits]}
    return {"notes": {name: packed(value) for name, value in notes.items()}} if isinstance(notes, dict) else [notes]


def unpacked(content: Any) -> Any:
    """Return notes from what `packed` made of them."""
    if isinstance(content, list):
        return content[0]
    ((kind, value),) = content.items()
    if kind in ("total", "amount"):
        return Total(value) if kind == "total" else Amount(value)
    return Mean(*value) if kind == "mean" else {name: unpacked(one) for name, one in value.items()}
