"""Every stage of dvc.yaml names the code that its numbers come from, so that a change to it is seen."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
#: Options, messages, reading and writing: they move numbers and make none.
PLUMBING = [
    f"stages/{name}.py"
    for name in ("__init__", "cells", "cli", "device", "embeddings", "errors", "files", "params", "threads")
]
#: Loaded by a name in params.yaml.
LOADED = {
    "fetch": ("stages/fetch/*.py",),
    "embed": ("stages/embed/*.py", "models/*/embed.py"),
    "pretrain": ("stages/pretrain/*.py",),
}
#: Behind other commands of the same module.
NOT_USED = {
    "reanalyse_check": ("stages/expression.py", "stages/pca.py", "stages/figures"),
    "controls": ("stages/hgnc.py", "stages/label/genes.py", "stages/networks", "stages/pickles"),
    "pretrain": ("stages/networks",),  # it writes checkpoints; networks read and run them
    "evaluate": ("stages/finetune",),
    "evaluate_ensemble": ("stages/finetune",),
    "umap": ("stages/figures",),
}


def within(path: Path, names: Iterable[str]) -> bool:
    return any(path == Path(name) or Path(name) in path.parents for name in names)


def file_of(module: str) -> Path | None:
    path = Path(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / one).is_file()), None)


def imported(path: Path) -> set[Path]:
    """The project's files that a file imports, within its functions, too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {found for name in names if name.startswith("stages.") and (found := file_of(name))}


def reached(first: Iterable[Path]) -> set[Path]:
    seen: set[Path] = set()
    left = [*first]
    while left:
        if (path := left.pop()) not in seen:
            seen.add(path)
            left += imported(path)
    return seen


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(name: str) -> None:
    module = STAGES[name]["cmd"].split("python -m ")[1].split()[0]
    folder = Path(*module.split("."))
    loaded = [path.relative_to(ROOT) for pattern in LOADED.get(folder.name, ()) for path in ROOT.glob(pattern)]
    code = [path for path in reached([folder / "__main__.py", *loaded]) if not within(path, PLUMBING)]
    named = [dep for dep in STAGES[name]["deps"] if dep.startswith("stages/")]
    ours = [path for path in code if path.parts[0] == "stages" and path.name != "__init__.py"]
    lacking = [path for path in ours if not within(path, named)]
    assert [str(path) for path in lacking if not within(path, NOT_USED.get(name, ()))] == []
    assert all(any(within(path, [one]) for path in lacking) for one in NOT_USED.get(name, ())), (
        "NOT_USED is out of date"
    )
    assert all(any(within(path, [one]) for path in code) for one in named), "a dep that nothing imports"
