"""Bring a fetched data set to the form that every later stage reads; ``python -m stages.label --help`` says how."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError
from genept.data.cells import DATA
from genept.datasets import checks, parse
from genept.datasets.fallback import entry_of


@click.command()
@click.argument("dataset")
@stage
def main(params: dict[str, Any], dataset: str) -> None:
    """Label the cells of DATASET: common gene symbols, common annotation names, the evaluated cells drawn.

    DATASET is a name under datasets: in params.yaml. Reads data/DATASET/raw/raw.h5ad (or reference.h5ad and query.h5ad)
    and the HGNC table, and checks that the files are what the entry says. Gene symbols become the approved ones; the
    columns of obs that the entry names become cell_type, patient, phenotype, disease, cancer_type, age, age_bin and
    batch, those that exist or are derived; cells without any count are dropped.

    \b
    Writes  data/DATASET/cells.h5ad               the evaluated cells (all, unless the entry has subset:)
            data/DATASET/rest.h5ad                the other cells, for pretraining
            data/DATASET/obs.csv                  the annotations of the evaluated cells
            metrics/verification/DATASET.json     what was found, renamed and dropped, and how many cells of each label
    Example: python -m stages.label covid
    """
    content, instead = entry_of(DATA / dataset / "raw", parameters.captioned_entry(params, "datasets", dataset))
    entry = parse.parse(dataset, content)
    min_class_size = checks.whole(
        "params.yaml: label.min_class_size", (params.get("label") or {}).get("min_class_size")
    )

    from genept.core import files
    from genept.data import genes, hgnc
    from genept.datasets import label as cells
    from genept.datasets import record

    raw = DATA / dataset / "raw"
    present = [name for name in entry.files.values() if (raw / name).exists() or not entry.may_lack(name)]
    sources = {str(raw / name): check_source(raw / name, entry.sha256.get(name)) for name in present}
    labelled = cells.label(raw, entry, genes.Table(hgnc.read()), dataset)
    scored = record.scored(labelled.cells.obs)
    annotations = {
        key: record.annotation(
            labelled.labels[key], labelled.columns[key], labelled.cells.obs[key], scored[key], min_class_size
        )
        for key in labelled.columns
    }
    n_found = {key: check["found"] for key, check in labelled.checked.items()}
    said = record.against(entry.said, n_found, scored)
    notes = [f"in its place: {instead['title']} ({instead['because']})"] if instead else []
    notes += [*labelled.notes, *record.differences(said), *record.small_classes(annotations, min_class_size)]
    report = {
        "dataset": dataset,
        **({"in_its_place": instead} if instead else {}),
        "label_source": labelled.label_source,
        **({"labels_from": labelled.labels_from} if labelled.labels_from else {}),
        **({"reanalysis": labelled.reanalysis} if labelled.reanalysis else {}),
        "x": labelled.content,
        **record.declared(entry),
        "files": {
            path: {"sha256": digest} for path, digest in {**sources, str(hgnc.PATH): files.sha256(hgnc.PATH)}.items()
        },
        **({"attempts": files.read_json(raw / "attempts.json")} if (raw / "attempts.json").is_file() else {}),
        "checked": labelled.checked,
        **({"said": [row._asdict() for row in said]} if said else {}),
        "cells": {
            "n_file": labelled.checked["n_cells"]["found"],
            "n_empty_dropped": labelled.n_empty,
            **({"n_dropped_by_qc": labelled.n_dropped_by_qc} if labelled.reanalysis else {}),
            "n_evaluated": labelled.cells.n_obs,
            "n_scored": len(scored),
            "n_rest": labelled.rest.n_obs,
        },
        "genes": record.genes(labelled.genes),
        "annotations": annotations,
        **({"derived": labelled.derived} if labelled.derived else {}),
        "patients": record.patients(labelled.labels),
        "notes": notes,
    }
    with ExitStack() as stack:  # all are written before the first takes its place
        folder = DATA / dataset
        for name, part in (("cells.h5ad", labelled.cells), ("rest.h5ad", labelled.rest)):
            cells.write(stack.enter_context(files.replacing(folder / name)), part, cells.about(labelled))
        cells.write_obs(stack.enter_context(files.replacing(folder / "obs.csv")), labelled.cells)
        record_path = Path("metrics/verification") / f"{dataset}.json"
        files.write_json(stack.enter_context(files.replacing(record_path)), report)

    click.echo(
        f"{dataset}: {labelled.cells.n_obs} cells evaluated, {labelled.rest.n_obs} others, "
        f"{labelled.n_empty} empty dropped; "
        f"{report['genes']['n_genes']} genes, {report['genes']['n_renamed']} renamed, "
        f"{len(report['genes']['unknown'])} unknown to HGNC"
    )
    for note in notes:
        click.echo(f"{dataset}: {note}")


def check_source(path: Path, expected: str | None) -> str:
    """Return the sha256 of the fetched file after comparing it with the entry's, where that gives one.

    Raises
    ------
    InputError
        If they differ: the file was changed since it was fetched.
    """
    from genept.core import files

    found = files.sha256(path)
    if expected is not None and found != expected:
        raise InputError(
            f"{path}: has sha256 {found}, but params.yaml expects {expected}; remove it and run "
            f"`python -m stages.fetch datasets {path.parts[-3]}`"
        )
    return found


if __name__ == "__main__":
    main(prog_name="python -m stages.label")
