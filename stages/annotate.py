"""Give cell types to a dataset whose authors published none; ``python -m stages.annotate --help`` says how."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from genept.core import files
from genept.core.cli import say, stage
from genept.core.errors import InputError, ParamsError, nearest
from genept.core.params import Params
from genept.core.text import listed
from genept.data.cells import DATA
from genept.datasets import config as datasets

METRICS = Path("metrics/annotation")


@click.command()
@click.argument("dataset")
@stage
def main(params: Params, dataset: str) -> None:
    """Cluster the cells of DATASET and name the clusters by marker genes, if data/DATASET.yaml has `annotation:`.

    The settings are those under `annotate` in params.yaml; `annotation` may have its own. The marker table is
    data/DATASET/raw/markers.tsv. The authors' cell types, if any, are never read by the method. They are compared with
    its types at the end; `annotation.names` says what the authors call a type.

    \b
    Writes  data/DATASET/annotation/cells.csv       each cell's cluster and type, or why it was left out
            data/DATASET/annotation/clusters.csv    each cluster's type, score, next type and margin
            data/DATASET/annotation/markers.csv     mean, z and share of cells of the marker genes in each cluster
            data/DATASET/annotation/umap.csv        coordinates and batches of the cells that made the clusters
            data/DATASET/annotation/summary.json    method, settings, missing genes, numbers
            data/DATASET/annotation/agreement.csv   precision, recall and F1 of every label of the authors
            data/DATASET/annotation/agreement_by_patient.csv   ari, ami, accuracy and so on of every patient, if several
            data/DATASET/annotation/agreement.json      ari, ami, accuracy, f1 (macro average), share_unknown, n_cells
                                                        and ari_lowest_patient
            metrics/annotation/DATASET/agreement.json   the first four of them
    Without `annotation:`, or where a table of the authors' labels is there, summary.json says so and nothing else is
    written. `python -m stages.plot` draws the pictures.
    Example: python -m stages.annotate ovarian
    """
    config, _ = datasets.fetched(dataset)
    raw = DATA / dataset / "raw"
    has_table = config.labels is not None and (raw / config.labels.file).is_file()
    with ExitStack() as stack:  # both folders are complete before the first takes its place
        folder = stack.enter_context(files.replacing_folder(DATA / dataset / "annotation"))
        metrics = stack.enter_context(files.replacing_folder(METRICS / dataset))
        if config.annotation is None or (has_table and config.label_source != datasets.ANNOTATION):
            files.write_json(folder / "summary.json", {"label_source": datasets.AUTHOR})
            message = f"{dataset}: not annotated, its labels come with its files"
        else:
            message = annotate(params, dataset, config, folder, metrics)
    say(message)


def annotate(params: Params, dataset: str, config: datasets.DatasetConfig, folder: Path, metrics: Path) -> str:
    """Annotate a dataset, write the files into two folders, and say in a sentence what came out."""
    import pandas as pd

    from genept.annotation import cells as annotated
    from genept.annotation import markers, method, results
    from genept.data import hgnc
    from genept.data.genes import Table

    annotation, raw = config.annotation, DATA / dataset / "raw"
    assert annotation is not None
    settings = annotation.settings(params.annotate)
    table, path = Table(hgnc.read()), raw / datasets.MARKERS
    marker_genes = markers.read(path, table)
    for name in annotation.names:
        if name not in marker_genes.genes:
            hint = f"{nearest(name, marker_genes.genes) or '.'} Known: {', '.join(marker_genes.genes)}"
            raise ParamsError(f"{datasets.path(dataset)}: annotation.names: no type {name!r}{hint}")
    missing = config.missing(params.label.missing_labels)
    cells, batches = annotated.read(raw, config, table, annotation.batch, missing, params.label.least_known_genes)
    notes = annotated.limits_without_effect(list(cells.var_names), settings.qc)
    try:
        result = method.annotate(cells, batches, marker_genes, settings)
    except InputError as error:
        raise InputError(f"{dataset}: {error.message}") from None
    about = {
        "marker_table": {"path": path.as_posix(), "sha256": files.sha256(path)},
        "settings": {"batch": annotation.batch, **settings.model_dump()},
        **({"notes": notes} if notes else {}),
    }
    summary = results.write(folder, list(cells.obs_names), result, batches, marker_genes, about)
    counts = listed((f"{name} {number}" for name, number in summary["cells_per_type"].items()), most=20)
    passing = f"{summary['cells']['ok']} of {cells.n_obs} cells pass quality control"
    if result.n_drawn < summary["cells"]["ok"]:
        passing += f", {result.n_drawn} of them made the clusters, the others have that of their neighbours"
    message = f"{dataset}: {passing}; {counts}"
    ending = "".join(f"; {note}" for note in notes)
    authors = annotated.author_labels(raw, config, missing)
    if authors is None:
        return message + ending
    types = pd.Series(result.cell_types, index=cells.obs_names)
    scores, why_not = results.write_agreement(folder, metrics, authors, types, annotation.names)
    message += "".join(f", {name} {value}" for name, value in scores.items())
    return message + (f"; agreement by patient left out: {why_not}" if why_not else "") + ending


if __name__ == "__main__":
    main(prog_name="python -m stages.annotate")
