"""After the grid: a user has labels that nobody published, and the authors' own subsets are no longer at their source.

Each is what docs/paper_grid.md says that happens by itself, or by the command that it gives.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

from genept.datasets import config as datasets
from genept.downloads.config import files_of
from rehearsal import checks
from rehearsal.services import World
from rehearsal.workspace import Workspace

OWN_TYPES = ("Intima", "Media", "Adventitia")


def own_labels(workspace: Workspace, name: str = "artery") -> list[str]:
    """Put a table of labels where the dataset's file says that a user's goes, run `dvc repro`, say what is wrong."""
    (place,) = files_of(datasets.read(name).source)["labels.csv"].places
    path = Path(place.model_dump()["path"])
    cells = read_obs(name)
    ids = next(iter(cells[0]))  # sample and barcode, as `genept.datasets.samples` joins them
    given = {cell[ids]: OWN_TYPES[number % len(OWN_TYPES)] for number, cell in enumerate(cells)}
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["barcode", "sample", "cell_type"])
        for cell in cells:
            writer.writerow([cell[ids].removeprefix(f"{cell['batch']}_"), cell["batch"], given[cell[ids]]])
    workspace.run("dvc", "repro", f"label@{name}")
    record = checks.record(name)
    table = {"path": path.as_posix(), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    wrong = []
    if (record["label_source"], record.get("labels_from")) != (datasets.USER, table):
        wrong.append(f"{name}: its record does not say that the labels are those of {path}")
    found = {cell[ids]: cell["cell_type"] for cell in read_obs(name)}
    if any(found.get(cell) != label for cell, label in given.items()):
        wrong.append(f"{name}: cells do not have the labels of {path}")
    return wrong


def without_subsets(workspace: Workspace, names: list[str], world: World) -> tuple[list[str], list[str]]:
    """Take the files of datasets that have a fallback off the web, fetch and label again.

    Returns what is wrong, and the lines of runs that a server ended.
    """
    shutil.rmtree(".dvc/downloads")  # or no host would be asked
    wrong, ends = [], []
    for name in names:
        config = datasets.read(name)
        assert config.fallback is not None
        for file in files_of(config.source).values():
            place = file.places[0].model_dump()
            shared = world.folders[place["folder"]]
            shared["readme.txt"] = "1" + "0" * 32  # an empty folder could as well be one that is not shared
            del shared[place["name"]]
        shutil.rmtree(Path("data", name, "raw"))  # what is there would be used
        ends += workspace.until_done("dvc", "repro", "--force", "--single-item", f"fetch@{name}")
        workspace.run("dvc", "repro", f"label@{name}")
        record = checks.record(name)
        fallback, files = record.get("fallback", {}), {Path(path).name for path in record["files"]}
        expected = {Path(file).name for file in config.fallback.input_files}
        if fallback.get("title") != config.fallback.title or not fallback.get("because") or not expected <= files:
            wrong.append(f"{name}: its record does not say that its fallback took its place, and why")
        if not record["cells"]["n_not_evaluated"] or not record["cells"]["n_evaluated"]:
            wrong.append(f"{name}: no subset was drawn")
    return wrong, ends


def read_obs(name: str) -> list[dict[str, str]]:
    """Return the labels of a dataset's cells."""
    with Path("data", name, "labelled/obs.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
