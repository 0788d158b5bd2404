"""Score every embedding again and compare with the committed scores: ``python tests/compare_scores.py``.

With matching hashes DVC skips the scoring, so a fresh clone would only ever compare a file with itself. On the machine
that made the committed scores they agree to the last digit; on another kind of CPU the embeddings' last bits differ,
and k-means and the small models trained here carry that on into the scores. Exit code 1 if a score moved by more than
`TOLERANCE`, or if one appeared or vanished.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TOLERANCE = 0.05
STAGES = ("evaluate", "evaluate_finetuned", "evaluate_ensemble")


def committed() -> dict[str, dict[str, float]]:
    """Return the scores of the last commit by path."""
    listing = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "metrics/scores"], check=True, capture_output=True, text=True
    )
    paths = listing.stdout.split()
    show = (subprocess.run(["git", "show", f"HEAD:{path}"], check=True, capture_output=True).stdout for path in paths)
    return {path: json.loads(text) for path, text in zip(paths, show, strict=True)}


def differences(old: dict[str, dict[str, float]], new: dict[str, dict[str, float]]) -> list[tuple[float, str]]:
    """Return (absolute difference, description) for every score; one that appeared or vanished counts as infinite."""
    rows = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path, {}), new.get(path, {})
        for name in sorted(before.keys() | after.keys()):
            a, b = before.get(name), after.get(name)
            gap = float("inf") if a is None or b is None else abs(a - b)
            rows.append((gap, f"{path} {name}: committed {a}, now {b}"))
    return rows


def main() -> None:
    """Run the scoring stages by force and report."""
    old = committed()
    subprocess.run(["dvc", "repro", "--quiet", "--force", "--single-item", *STAGES], check=True)
    new = {path: json.loads(Path(path).read_text(encoding="utf-8")) for path in old if Path(path).exists()}
    rows = differences(old, new)
    if not rows:
        sys.exit("metrics/scores: the last commit holds no score to compare with")
    moved = [text for gap, text in rows if gap > TOLERANCE]
    print(f"{len(rows)} scores computed again; largest difference {max(rows)[0]:.4f}, tolerance {TOLERANCE}")
    sys.exit("\n".join(moved) if moved else 0)


if __name__ == "__main__":
    main()
