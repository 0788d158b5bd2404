"""Checks of plain values in ``params.yaml``: mappings, whole numbers, known keys; one line for what cannot be meant."""

from __future__ import annotations

from typing import Any

from genept.core.errors import ParamsError, nearest


def mapping(where: str, content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a mapping of the entry, empty if it is not there."""
    value = content.get(key)
    if value is not None and not isinstance(value, dict):
        raise ParamsError(f"{where}.{key}: expected a mapping, got {value!r}")
    return value or {}


def whole(where: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ParamsError(f"{where}: must be a whole number of at least {least}, got {value!r}")
    return value


def ascending(where: str, value: Any) -> tuple[float, ...]:
    """Return a list of ascending numbers."""
    numbers = value if isinstance(value, list) else []
    good = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in numbers)
    if not numbers or not good or sorted(set(numbers)) != numbers:
        raise ParamsError(f"{where}: expected a list of ascending numbers, got {value!r}")
    return tuple(map(float, numbers))


def check_names(where: str, content: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a key that is not known, naming the nearest one that is."""
    for key in content:
        if key not in known:
            raise ParamsError(f"{where}: unknown key {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")
