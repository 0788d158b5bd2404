"""A table to fetch as a reference, its entry, and what must be true when it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click.testing
import yaml

from stages.fetch import main

TABLE = b"symbol\tname\nTP53\ttumor protein p53\n" * 200
SHA256 = hashlib.sha256(TABLE).hexdigest()


def write_params(section: str = "references", source: Any = None, name: str = "genes", **item: Any) -> None:
    """Write a params.yaml with one entry; `item` changes its one file."""
    if source is None:
        file = {"member": "demo/data/genes.tsv", "sha256": SHA256, **item}
        source = {"kind": "wheel", "package": "demo", "version": "1.0"}
        source["files"] = {"genes.tsv": {key: value for key, value in file.items() if value is not None}}
    Path("params.yaml").write_text(yaml.safe_dump({"threads": 1, section: {name: {"source": source}}}))


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, arguments or ("references", "genes"), catch_exceptions=False)


def keep_earlier_copy() -> Path:
    folder = Path("data/reference/genes")
    folder.mkdir(parents=True)
    (folder / "genes.tsv").write_bytes(b"an earlier good copy")
    return folder


def assert_refused(result: click.testing.Result, text: str, exit_code: int = 1) -> None:
    """Assert one clear line, and nothing changed under data/ but what `keep_earlier_copy` made."""
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    assert text in result.output
    left = [path for path in Path("data").rglob("*") if path.is_file()]
    assert left in ([], [Path("data/reference/genes/genes.tsv")])
    assert all(path.read_bytes() == b"an earlier good copy" for path in left)
    assert not list(Path().rglob(".writing-*"))
