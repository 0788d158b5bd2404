"""The README says what the committed run found, and shows settings that work."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from docs.refresh import ANSWER, README, refreshed
from genept.datasets.config import DatasetConfig

ROOT = Path(__file__).parents[1]
WRITTEN = ("metrics/answer.md", "plots/summary_light.svg", "plots/summary_dark.svg")


def committed(path: str) -> bytes:
    """Return a file of the last commit, since a run of one's own writes other digits into the working tree."""
    done = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip(f"not a git repository with a commit of {path}: {done.stderr.decode().strip()}")
    return done.stdout


def test_the_readme_has_the_answer_of_the_committed_run() -> None:
    readme, answer = (committed(path.as_posix()).decode() for path in (README, ANSWER))
    assert refreshed(readme, answer) == readme, "`make readme` puts the last run's answer there"
    assert refreshed(readme, "another answer") != readme


@pytest.mark.parametrize("path", WRITTEN)
def test_what_the_readme_shows_is_what_the_committed_run_wrote(path: str) -> None:
    outs = yaml.safe_load(committed("dvc.lock"))["stages"]["report"]["outs"]
    locked = {out["path"]: out["md5"] for out in outs}
    assert hashlib.md5(committed(path)).hexdigest() == locked[path]


@pytest.mark.parametrize("place", ["README.md", "genept/webpage/header.html"])
def test_the_dataset_that_is_shown_is_a_dataset(place: str) -> None:
    text = (ROOT / place).read_text(encoding="utf-8")
    (shown,) = re.findall(r"^(?:<pre[^>]*>)?(title: My cells\n.*?)(?:```|</pre>)", text, flags=re.DOTALL | re.MULTILINE)
    config = DatasetConfig.parse(yaml.safe_load(shown), place)
    assert config.title == "My cells" and set(config.obs) == {"cell_type", "patient", "phenotype"}
