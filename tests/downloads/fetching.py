"""A dataset called ``demo`` that is fetched from any source by the command, and what must be true after it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import click.testing
import yaml

from genept.core.params import Models
from stages.fetch import main
from tests import helpers

COUNTS = os.urandom(50_000)
FOLDER = Path("data/demo/raw")
STORE = Path(".dvc/downloads")
LOCK = Path("data/hashes.lock.yaml")
NO_MODELS: dict[str, Any] = {key: [] for key in Models.model_fields}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.cache
def default_params() -> dict[str, Any]:
    return dict(yaml.safe_load((helpers.ROOT / "params.yaml").read_text()))


def write_demo(source: Any, grid: dict[str, Any] | None = None, **more: Any) -> None:
    """Write the settings of a grid with one dataset, and of no gene tables."""
    entry = {"title": "Demo", "note": "", "source": source, "obs": {"cell_type": "kind"}, **more}
    content = {"datasets": ["demo"], "pretrain": [], "ensemble": [], **(grid or {})}
    content["models"] = {**NO_MODELS, **content.get("models", {})}
    Path("data").mkdir(exist_ok=True)
    for name, settings in (
        ("params", {**default_params(), "grid": content, "grids": {}}),
        ("data/demo", entry),
        ("data/reference", {"source": None}),
    ):
        Path(f"{name}.yaml").write_text(json.dumps(settings))  # JSON is YAML, and quicker to read and write


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, arguments or ("dataset", "demo"), catch_exceptions=False)


def fetch(kind: str, files: dict[str, Any], **source: Any) -> click.testing.Result:
    write_demo({"kind": kind, **source, "files": files})
    return invoke()


def content() -> dict[str, bytes]:
    """Return what is in the dataset's folder."""
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}


def parts() -> list[Path]:
    """Return the unfinished downloads."""
    return [path for path in (STORE / "partial").rglob("*") if path.is_file() and path.suffix != ".lock"]


def fetched(kind: str, files: dict[str, Any], expected: dict[str, bytes], **source: Any) -> str:
    """Fetch, assert that exactly these files are there, and return the command's output."""
    result = fetch(kind, files, **source)
    assert result.exit_code == 0, result.output
    assert content() == expected
    assert not parts()
    return result.output


def refusal(result: click.testing.Result, exit_code: int = 1) -> str:
    """Return the one line that the command ended with, after notes."""
    assert result.exit_code == exit_code, result.output
    *notes, line = result.output.splitlines()
    assert line.startswith("Error: "), result.output
    assert not any(note.startswith(("Error", "Traceback")) for note in notes), result.output
    assert not list(Path("data").rglob(".writing-*"))
    return line


def refused(kind: str, files: dict[str, Any], text: str, exit_code: int = 1, **source: Any) -> str:
    """Fetch, assert one clear line and that the folder is as it was, and return the line."""
    before = content()
    line = refusal(fetch(kind, files, **source), exit_code)
    assert text in line
    assert content() == before
    return line


def locked() -> dict[str, dict[str, Any]]:
    """Return the content of the lock."""
    return dict(yaml.safe_load(LOCK.read_text()) or {}) if LOCK.exists() else {}
