"""The files that a file's code comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genept.core import imports

FILES = {
    "start.py": "from lib.a import f\nimport numpy\n",
    "lib/__init__.py": "",
    "lib/a.py": "def f():\n    from lib.deep import b\n    return b.x\n",
    "lib/deep/__init__.py": "",
    "lib/deep/b.py": "import lib.c\nx = 1\n",
    "lib/c.py": "from lib import a\n",  # a circle
    "lib/unused.py": "raise RuntimeError\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_closure_has_all_imports_within_the_root_and_runs_none(root: Path) -> None:
    found = {path.relative_to(root).as_posix() for path in imports.closure(root / "start.py", root)}
    assert found == FILES.keys() - {"lib/unused.py"}


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda root: (root / "start.py").write_text("from lib.a import f\n"), True),
        (lambda root: (root / "lib/deep/b.py").write_text("x = 2\n"), True),
        (lambda root: (root / "lib/unused.py").write_text(""), False),
        (lambda root: (root / "lib/new.py").write_text(""), False),
    ],
    ids=["own", "deep", "unused", "new"],
)
def test_the_hash_changes_with_the_code_that_runs_only(
    root: Path, change: Callable[[Path], object], differs: bool
) -> None:
    before = imports.sha256(root / "start.py", root)
    change(root)
    assert (imports.sha256(root / "start.py", root) != before) is differs
