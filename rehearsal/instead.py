"""After the grid: the authors' own subsets are no longer there, and a user has labels that nobody published.

Each is what docs/paper_grid.md says that happens by itself, or by the command that it gives.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

from rehearsal import checks
from rehearsal.services import World
from rehearsal.workspace import Workspace

OWN_TYPES = ("Intima", "Media", "Adventitia")


def without_subsets(place: Workspace, params: dict[str, Any], grid: dict[str, Any], world: World) -> list[str]:
    """Take the authors' subsets off the web, and fetch and label again; return what is wrong, in words."""
    names = [name for name in grid["datasets"] if "otherwise" in params["datasets"][name]["source"]]
    wrong = [] if names else ["no dataset of the grid has an `otherwise`"]
    for name in names:
        source = params["datasets"][name]["source"]
        shared = world.folders[str(source["folder"])]
        shared["readme.txt"] = "1" + "0" * 32  # an empty folder could as well be one that is not shared
        for item in source["files"].values():
            del shared[str(item["name"])]
        relabelled(place, name)
        record = json.loads(checks.record(place.path, name).read_text(encoding="utf-8"))
        other = source["otherwise"]
        said = record.get("in_its_place", {})
        files = {Path(path).name for path in record["files"]}
        first = Path(next(iter(other["source"]["files"]))).name
        if said.get("title") != other["title"] or not said.get("because") or first not in files:
            wrong.append(f"{name}: its record does not say that {other['title']} took its place, and why")
        if record["cells"]["n_rest"] == 0 or record["cells"]["n_evaluated"] == 0:
            wrong.append(f"{name}: no subset was drawn")
    return wrong


def own_labels(place: Workspace, params: dict[str, Any], name: str = "artery") -> list[str]:
    """Put a table of labels where the entry says that a user's goes, and fetch and label again."""
    (candidate,) = params["datasets"][name]["source"]["files"]["labels.csv"]["candidates"]
    with (place.path / "data" / name / "obs.csv").open(encoding="utf-8") as stream:
        cells = list(csv.DictReader(stream))
    path = place.path / candidate["path"]
    path.parent.mkdir(parents=True)
    ids = next(iter(cells[0]))  # sample and barcode, as `genept.datasets.samples` joins them
    given = {cell[ids]: OWN_TYPES[number % len(OWN_TYPES)] for number, cell in enumerate(cells)}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["barcode", "sample", "cell_type"])
        for cell in cells:
            writer.writerow([cell[ids].removeprefix(f"{cell['batch']}_"), cell["batch"], given[cell[ids]]])
    relabelled(place, name)
    record = json.loads(checks.record(place.path, name).read_text(encoding="utf-8"))
    with (place.path / "data" / name / "obs.csv").open(encoding="utf-8") as stream:
        found = {cell[ids]: cell["cell_type"] for cell in csv.DictReader(stream)}
    wrong = []
    table = {"path": candidate["path"], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if (record["label_source"], record.get("labels_from")) != ("user", table):
        wrong.append(f"{name}: its record does not say that the labels are those of {candidate['path']}")
    if any(found.get(cell) != label for cell, label in given.items()):
        wrong.append(f"{name}: cells do not have the labels of {candidate['path']}")
    return wrong


def relabelled(place: Workspace, name: str) -> None:
    """Fetch a dataset again, since nothing that DVC watches has changed, and label it."""
    place.dvc("repro", "--force", "--single-item", f"fetch@{name}")
    place.dvc("repro", "--single-item", f"reanalyse@{name}", f"label@{name}")
