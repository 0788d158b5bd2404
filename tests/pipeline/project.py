"""A clone of this repository, and the commands in it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests import helpers


class Project:
    """A clone and the commands in it."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path, self.environment = path, environment

    def copy(self, path: Path) -> Project:
        return Project(shutil.copytree(self.path, path, symlinks=True), self.environment)

    def run(self, *command: str, code: int = 0) -> str:
        result = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == code, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def change(self, name: str, change: dict[str, Any]) -> None:
        path = self.path / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        helpers.merge(content, change)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def tables(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted((self.path / "metrics").glob("*.*"))}

    def rows(self, table: str) -> set[tuple[str, str]]:
        with (self.path / "metrics" / f"{table}.csv").open(encoding="utf-8") as stream:
            return {(row["dataset"], row["model"]) for row in csv.DictReader(stream)}

    def scores(self) -> dict[str, dict[str, float]]:
        folder = self.path / "metrics/scores"
        return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}
