"""A dataset fetched from a source of any kind, and what must be true after it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import click.testing
import yaml

from genept.downloads import partial as _partial
from stages.fetch import main

COUNTS = os.urandom(50_000)
SAMPLES = {f"GSM470493{number}_Con{number}.txt.gz": gzip.compress(bytes([number]) * 9000) for number in range(1, 4)}
FOLDER = Path("data/demo/raw")


def fetch(kind: str, files: dict[str, Any], **source: Any) -> click.testing.Result:
    entry = {"source": {"kind": kind, **source, "files": files}}
    Path("params.yaml").write_text(yaml.safe_dump({"threads": 1, "datasets": {"demo": entry}}))
    return click.testing.CliRunner().invoke(main, ["datasets", "demo"], catch_exceptions=False)


def fetched(kind: str, files: dict[str, Any], expected: dict[str, bytes], **source: Any) -> None:
    result = fetch(kind, files, **source)
    assert result.exit_code == 0, result.output
    found = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert found == expected
    assert all(path.suffix == ".lock" for path in _partial.STORE.iterdir())


def refused(kind: str, files: dict[str, Any], text: str, exit_code: int = 1, **source: Any) -> None:
    """Assert one clear line and that no file of the dataset is there."""
    result = fetch(kind, files, **source)
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    assert text in result.output
    assert not FOLDER.exists()
    assert not list(Path().rglob(".writing-*"))
