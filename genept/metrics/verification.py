"""Whether scoring again gives the scores of the last commit.

On the machine that made the committed scores they agree to the last digit. On another kind of CPU the embeddings' last
bits differ, and k-means and the small models trained here carry that on into the scores.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from genept.core.errors import InputError
from genept.core.params import Params
from genept.metrics import evaluation, results

TOLERANCE = 0.05


def compare(datasets: Sequence[str], params: Params) -> None:
    """Score all models of some datasets, without the cache, and compare.

    Raises
    ------
    InputError
        If a score moved by more than `TOLERANCE`, appeared or vanished, or none is committed.
    """
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for dataset in datasets:
        before |= committed(dataset)
        for model, result in evaluation.score_models(dataset, params, cache=None).items():
            after |= {f"{dataset}, {model}, {name}": value for name, value in result.headlines.items()}
    names = sorted(before.keys() | after.keys())
    moved = {name: abs(before.get(name, math.inf) - after.get(name, -math.inf)) for name in names}
    click.echo(f"{len(names)} scores computed again; largest difference {max(moved.values()):.4f}")
    if far := [f"{name} {before.get(name)} -> {after.get(name)}" for name in names if moved[name] > TOLERANCE]:
        raise InputError(f"scores differ from the last commit's by more than {TOLERANCE}: {'; '.join(far)}")


def committed(dataset: str) -> dict[str, float]:
    """Return the headline numbers of a dataset in the last commit."""
    folder = f"{results.SCORES.as_posix()}/{dataset}/"
    listing = subprocess.run(["git", "ls-tree", "--name-only", "HEAD", folder], capture_output=True, text=True)
    scores: dict[str, float] = {}
    for path in map(Path, listing.stdout.split()):
        text = subprocess.run(["git", "show", f"HEAD:{path.as_posix()}"], check=True, capture_output=True).stdout
        scores |= {f"{dataset}, {path.stem}, {name}": value for name, value in json.loads(text).items()}
    if not scores:
        raise InputError(f"{folder}: the last commit has no scores to compare with")
    return scores
