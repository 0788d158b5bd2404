"""DVC's own command line, without its slow YAML: ``python quick_dvc.py repro`` and so on.

After every stage DVC reads and writes the whole ``dvc.lock`` in pure Python, keeping comments that it does not have; at
60 stages that takes one to two seconds for each stage, at 200 stages half an hour in all. Here the lock is kept in
memory, written as JSON after every stage (which is YAML, too), and in DVC's own form at the end; and ``params.yaml`` is
parsed once instead of at every question. What DVC decides, runs and records is not touched.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dvc.dvcfile
from dvc.cli import main
from dvc.utils.serialize import _yaml, dump_yaml

modify_carefully, parse = dvc.dvcfile.modify_yaml, _yaml.parse_yaml
parsed: dict[tuple[str, str], bytes] = {}
lock: dict[Path, tuple[str, dict[str, Any]]] = {}  # what was written last, and its content


def parse_once(text: str, path: Any, typ: str = "safe") -> Any:
    """Parse a YAML file, or give what came of the same text before."""
    if typ != "safe":
        return parse(text, path, typ=typ)
    if (text, typ) not in parsed:
        parsed[text, typ] = pickle.dumps(parse(text, path, typ=typ))
    return pickle.loads(parsed[text, typ])


@contextlib.contextmanager
def modify_quickly(path: Any, fs: Any = None) -> Iterator[dict[str, Any]]:
    """Give a YAML file's content to be changed, and write it back."""
    file = Path(path)
    if file.name != "dvc.lock":
        with modify_carefully(path, fs=fs) as content:
            yield content
        return
    there = file.read_text(encoding="utf-8") if file.exists() else "{}"
    before, content = lock.get(file, ("", {}))
    if there != before:
        content = parse(there, file)
    yield content
    text = json.dumps(content)
    temporary = file.with_name("dvc.lock.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
    lock[file] = text, content


def run(arguments: list[str]) -> int:
    """Run DVC and leave its lock in its own form."""
    dvc.dvcfile.modify_yaml, _yaml.parse_yaml = modify_quickly, parse_once
    try:
        return int(main(arguments))
    finally:
        for file, (text, content) in lock.items():
            if file.exists() and file.read_text(encoding="utf-8") == text:
                dump_yaml(str(file), json.loads(json.dumps(content)))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
