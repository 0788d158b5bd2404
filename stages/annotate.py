"""Give cell types to a data set whose authors published none; ``python -m stages.annotate --help`` says how."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError
from genept.data.cells import DATA
from genept.datasets.fallback import entry_of

if TYPE_CHECKING:
    from genept.annotation.method import Analysis
    from genept.annotation.options import Options

PICTURES = Path("plots/reanalysis")
METRICS = Path("metrics/reanalysis")
DECIMALS = 4


@click.group()
def main() -> None:
    """Cluster the cells of a data set and name the clusters by marker genes, where its entry asks for it.

    An entry asks by reanalysis: {markers: NAME, batch: ANNOTATION}; the other choices are under `reanalysis` in
    params.yaml, and an entry may have its own. The marker tables are genept/annotation/markers/NAME.tsv.
    """


@main.command()
@click.argument("dataset")
@stage
def run(params: dict[str, Any], dataset: str) -> None:
    """Re-analyse DATASET, a name under datasets: in params.yaml. Its authors' cell types, if any, are never read.

    \b
    Writes  data/DATASET/reanalysis/cells.csv           each cell's cluster and type, or why it was dropped
            data/DATASET/reanalysis/clusters.csv        each cluster's type, score, next type and margin
            data/DATASET/reanalysis/summary.json        method, choices, genes that are missing, numbers
            plots/reanalysis/DATASET/markers.png        the marker genes of every cluster
            plots/reanalysis/DATASET/umap.png           clusters, types and batches
    If the entry asks for no re-analysis, summary.json says so and nothing else is written.
    Example: python -m stages.annotate run ovarian
    """
    from genept.annotation import options, result
    from genept.core import files

    entry, _ = entry_of(DATA / dataset / "raw", parameters.captioned_entry(params, "datasets", dataset))
    choices = options.parse(params, dataset, entry)
    with ExitStack() as stack:  # both folders are complete before the first takes its place
        folder = stack.enter_context(files.replacing_folder(result.folder(dataset)))
        pictures = stack.enter_context(files.replacing_folder(PICTURES / dataset))
        if choices is None or has_table(dataset, entry):
            files.write_json(folder / "summary.json", {"label_source": "author"})
            message = f"{dataset}: not re-analysed, it has labels"
        else:
            message = reanalyse(dataset, entry, choices, folder, pictures)
    click.echo(message)


def has_table(dataset: str, entry: dict[str, Any]) -> bool:
    """Say whether the authors' table of labels lies beside counts, so that no other cell types are wanted."""
    name = (entry.get("labels") or {}).get("file")
    wants = entry.get("label_source") == "reanalysis"
    return not wants and name is not None and (DATA / dataset / "raw" / str(name)).is_file()


def reanalyse(dataset: str, entry: dict[str, Any], choices: Options, folder: Path, pictures: Path) -> str:
    """Do a re-analysis, write its files into two folders, and say in a sentence what came out."""
    from genept.annotation import marker_table, method, source
    from genept.annotation import pictures as draw
    from genept.core import files
    from genept.data import hgnc
    from genept.data.genes import Table
    from genept.datasets import parse
    from genept.plots import panels

    parsed = parse.parse(dataset, entry)
    table = Table(hgnc.read())
    markers = marker_table.read(choices.marker_path, table)
    check_names(dataset, choices, markers.genes)
    cells, batches = source.read(DATA / dataset / "raw", parsed, table, choices.batch)
    try:
        found = method.analyse(cells, batches, markers, choices)
    except InputError as error:
        raise InputError(f"{dataset}: {error.message}") from None
    write_tables(folder, list(cells.obs_names), found)
    numbers = method.summary(found, batches, markers)
    files.write_json(
        folder / "summary.json",
        {
            "label_source": "reanalysis",
            "method": method.METHOD,
            "method_version": method.METHOD_VERSION,
            "marker_table": {
                "path": choices.marker_path.as_posix(),
                "sha256": files.sha256(choices.marker_path),
            },
            "choices": {
                key: value for key, value in dataclasses.asdict(choices).items() if key not in ("markers", "names")
            },
            **numbers,
        },
    )
    title = entry["title"]
    note = f" ({entry['note']})" if entry["note"] else ""
    about = f"Dataset {dataset}{note}"
    caption = marker_caption(about, markers.genes)
    draw.save(draw.markers(found, markers.genes, title, caption), pictures / "markers.png")
    caption = (
        f"{about}, {int((found.cluster > 0).sum()):,} cells that passed quality control. UMAP of the graph that was "
        f"clustered: {found.n_neighbors} neighbours, balanced over batches; Leiden at resolution "
        f"{choices.resolution:g}, seed {choices.seed}. A number is at the cluster's most central cell."
    )
    panels.save(draw.umap(found, batches, choices.batch or "", title, caption), pictures / "umap.png")
    types = ", ".join(f"{name} {number}" for name, number in numbers["cells_per_type"].items())
    return f"{dataset}: {numbers['cells']['ok']} of {cells.n_obs} cells kept, {len(found.calls)} clusters; {types}"


def check_names(dataset: str, choices: Options, types: dict[str, tuple[str, ...]]) -> None:
    """Refuse a name for a type that the marker table has not."""
    from genept.datasets.checks import check_names

    check_names(f"params.yaml: datasets.{dataset}.reanalysis.names", choices.names, tuple(types))


def marker_caption(about: str, types: dict[str, tuple[str, ...]]) -> str:
    """Say what the picture of the markers shows."""
    from genept.annotation.pictures import MOST_GENES

    some = (
        f" Of a type with more, the first {MOST_GENES} genes of the table are drawn."
        if any(len(genes) > MOST_GENES for genes in types.values())
        else ""
    )
    return (
        f"{about}. Cell types were given to clusters by the marker genes below: the score is the mean z of a type's "
        f"genes, the margin its lead over the next type (of an unknown cluster, those of its best type); the genes of "
        f"the cluster's type are framed.{some}"
    )


def write_tables(folder: Path, cell_ids: list[str], found: Analysis) -> None:
    """Write ``cells.csv`` and ``clusters.csv``."""
    import numpy as np
    import pandas as pd

    clusters = [str(cluster) if cluster else "" for cluster in found.cluster]
    cells = pd.DataFrame({"cell_id": cell_ids, "cluster": clusters, "cell_type": found.cell_types, "qc": found.qc})
    sizes = np.bincount(found.cluster, minlength=len(found.calls) + 1)[1:]
    table = pd.DataFrame([call._asdict() for call in found.calls]).round(DECIMALS)
    table.insert(0, "n_cells", sizes)
    table.insert(0, "cluster", np.arange(1, len(sizes) + 1))
    for name, content in (("cells.csv", cells), ("clusters.csv", table)):
        content.to_csv(folder / name, index=False, lineterminator="\n", encoding="utf-8")


@main.command()
@click.argument("dataset")
@stage
def check(params: dict[str, Any], dataset: str) -> None:
    """Compare the types that `run` gave the cells of DATASET with the authors' labels in its file.

    Cells without a label, and those that quality control dropped, are left out. What the authors call a type is under
    reanalysis.names in the entry; a type that is not listed is wrong unless a label is spelt the same.

    \b
    Writes  metrics/reanalysis/DATASET.json     ari, ami, accuracy, f1_macro, share_unknown, n_cells
            metrics/reanalysis/DATASET.csv      precision, recall and F1 of every label
    Example: python -m stages.annotate check ovarian
    """
    from genept.annotation import options

    entry, _ = entry_of(DATA / dataset / "raw", parameters.captioned_entry(params, "datasets", dataset))
    choices = options.parse(params, dataset, entry)
    if choices is None:
        raise ParamsError(f"params.yaml: datasets.{dataset} has no reanalysis:, so there is nothing to compare")

    import pandas as pd

    from genept.annotation import agreement, marker_table, result, source
    from genept.core import files
    from genept.data import hgnc
    from genept.data.genes import Table
    from genept.datasets import parse

    parsed = parse.parse(dataset, entry)
    check_names(dataset, choices, marker_table.read(choices.marker_path, Table(hgnc.read())).genes)
    labels = source.author_labels(DATA / dataset / "raw", parsed)
    found = result.read(dataset)
    if found is None or list(found.cell_types.index) != list(labels.index):
        raise InputError(
            f"{result.folder(dataset)}: not of the cells in data/{dataset}/raw; "
            f"`python -m stages.annotate run {dataset}` makes it anew"
        )
    unknown = (params.get("evaluate") or {}).get("unknown") or []
    compared = (found.cell_types.notna() & labels.notna() & ~labels.isin(unknown)).to_numpy()
    if not compared.any():
        raise InputError(f"data/{dataset}/raw: no cell has both a label and a type to compare")
    scores, classes = agreement.compare(
        labels.to_numpy()[compared], found.cell_types.to_numpy()[compared], choices.names
    )
    with ExitStack() as stack:
        files.write_json(stack.enter_context(files.replacing(METRICS / f"{dataset}.json")), scores)
        path = stack.enter_context(files.replacing(METRICS / f"{dataset}.csv"))
        pd.DataFrame(classes).to_csv(path, index=False, lineterminator="\n", encoding="utf-8")
    click.echo(f"{dataset}: " + ", ".join(f"{name} {value}" for name, value in scores.items()))


if __name__ == "__main__":
    main(prog_name="python -m stages.annotate")
