"""What datasets expect of their files: the miniatures' numbers in place of the real; others are refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from genept.core import params
from genept.datasets import config as datasets
from genept.datasets.config import DatasetConfig
from genept.datasets.derive import add_derived
from genept.datasets.inputs import read_raw
from genept.datasets.label import count
from rehearsal.workspace import Workspace, errors


def counted(config: DatasetConfig, made: dict[str, bytes]) -> dict[str, int]:
    """Count in a dataset's miniature files what its ``expected`` names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in made.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        raw = read_raw(Path(folder), config.without_cell_types() if config.annotation else config)
        missing = config.missing(params.load().label.missing_labels)
        found = count(raw, add_derived(raw.obs, config.derive, raw.path, missing)[0])
    return {key: found[key] for key in config.expected}


def replace(name: str, numbers: dict[str, int]) -> None:
    """Write other numbers below ``expected`` in a dataset's file, of the fallback if its name ends so."""
    own, _, fallback = name.partition(".")
    yaml, path = YAML(), datasets.path(own)
    content = yaml.load(path.read_text(encoding="utf-8"))
    (content[fallback] if fallback else content)["expected"] |= numbers
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)


def wrong_files(workspace: Workspace, names: list[str]) -> list[str]:
    """Let every dataset expect one more of everything, as if another file had come; say which is not refused."""
    found = []
    for name in names:
        path, numbers = datasets.path(name), datasets.read(name).expected
        text = path.read_text(encoding="utf-8")
        replace(name, {key: n + 1 for key, n in numbers.items()})
        result = workspace.run("python", "-m", "stages.label", name, check=False)
        path.write_text(text, encoding="utf-8")
        lines = errors(result.stdout)
        if result.returncode != 1 or len(lines) != 1 or "is not as expected: " not in lines[0] or not numbers:
            found.append(f"{name}: a file with other numbers than expected was not refused in one line")
    return found
