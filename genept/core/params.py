"""Reading ``params.yaml``: the one place that says what runs and with which choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genept.core.errors import ParamsError, nearest

PATH = Path("params.yaml")
CAPTIONS = {"datasets": ("title", "note"), "models": ("title",)}


def load(path: Path = PATH) -> dict[str, Any]:
    """Read the parameters.

    Raises
    ------
    ParamsError
        If the file is missing or is not a YAML mapping.
    """
    from ruamel.yaml import YAML  # DVC's own reader: YAML 1.2, where `on` is a text and 1e-3 a number
    from ruamel.yaml.error import YAMLError

    try:
        params = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the top folder of the repository") from None
    except YAMLError as error:
        raise ParamsError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(params, dict):
        raise ParamsError(f"{path}: expected a mapping of parameters")
    return params


def entry(params: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """Return the entry `name` of a section such as ``datasets`` or ``models``.

    Raises
    ------
    ParamsError
        If there is no such entry; the message names the nearest ones.
    """
    known = params.get(section) or {}
    if name not in known:
        hint = nearest(name, known) or "."
        raise ParamsError(f"{PATH}: no entry {name!r} under {section}{hint} Known: {', '.join(known) or 'none'}")
    if not isinstance(known[name] or {}, dict):
        raise ParamsError(f"{PATH}: {section}.{name} must be a mapping, not {known[name]!r}")
    return known[name] or {}


def captioned_entry(params: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """Return an entry that has all that tables and pictures print: at the start of a pipeline, not at its end.

    Raises
    ------
    ParamsError
        As `entry`, and if the entry has no title, or that of a dataset no note.
    """
    found = entry(params, section, name)
    if lacking := [key for key in CAPTIONS[section] if key not in found]:
        raise ParamsError(f"{PATH}: {section}.{name} has no {lacking[0]}; tables and pictures print it")
    return found
