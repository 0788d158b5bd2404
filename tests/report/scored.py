"""Scores of a pair as `evaluate` writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

HEADER = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note".split(",")


def write_pair(dataset: str, model: str, rows: list[list[Any]], headlines: dict[str, Any] | None = None) -> None:
    """Write both files of a pair."""
    full, scores = Path(f"metrics/full/{dataset}/{model}.csv"), Path(f"metrics/scores/{dataset}/{model}.json")
    for path in (full, scores):
        path.parent.mkdir(parents=True, exist_ok=True)
    with full.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *([dataset, model, *row] for row in rows)])
    scores.write_text(json.dumps(headlines or {}))
