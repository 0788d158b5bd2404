"""Whether scoring again gives the scores of the last commit.

On the machine that made the committed scores they agree to the last digit. On another kind of CPU the embeddings' last
bits differ, and k-means and the small models trained here carry that on into the scores.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

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
    differences: dict[str, float] = {}
    for dataset in datasets:
        before = committed(dataset)
        after = {
            f"{dataset}, {model}, {name}": value
            for model, result in evaluation.score_models(dataset, params, cache=None).items()
            for name, value in result.headlines.items()
        }
        for name in before.keys() | after.keys():
            differences[name] = abs(before.get(name, float("inf")) - after.get(name, float("-inf")))
    largest = max(differences.values())
    click.echo(f"{len(differences)} scores computed again; largest difference {largest:.4f}, tolerance {TOLERANCE}")
    if moved := sorted(name for name, difference in differences.items() if difference > TOLERANCE):
        raise InputError(f"other scores than those of the last commit: {'; '.join(moved)}")


def committed(dataset: str) -> dict[str, float]:
    """Return the headline numbers of a dataset in the last commit."""
    folder = f"{results.SCORES.as_posix()}/{dataset}"
    listing = subprocess.run(["git", "ls-tree", "--name-only", "HEAD", f"{folder}/"], capture_output=True, text=True)
    scores: dict[str, float] = {}
    for path in listing.stdout.split():
        text = subprocess.run(["git", "show", f"HEAD:{path}"], check=True, capture_output=True).stdout
        model = path.removeprefix(f"{folder}/").removesuffix(".json")
        scores |= {f"{dataset}, {model}, {name}": value for name, value in json.loads(text).items()}
    if not scores:
        raise InputError(f"{folder}: the last commit has no scores to compare with")
    return scores
