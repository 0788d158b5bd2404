"""Bring a fetched dataset to the form that every later stage reads; ``python -m stages.label --help`` says how."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from genept.core.cli import say, stage
from genept.core.params import Params
from genept.data.cells import DATA
from genept.datasets.config import fetched


@click.command()
@click.argument("dataset")
@stage
def main(params: Params, dataset: str) -> None:
    """Label the cells of DATASET: approved gene symbols, common annotation names, the evaluated cells drawn.

    DATASET names the file data/DATASET.yaml. Reads data/DATASET/raw, the HGNC table and, where it gives the cell types,
    data/DATASET/annotation; checks that the files are what the dataset's file expects, unless label.accept_unexpected
    in params.yaml names DATASET. Gene symbols become the approved ones; the columns under `obs` become cell_type,
    patient, phenotype, disease, cancer_type, age, age_bin and batch, those that exist or are derived; labels that mean
    missing (label.missing_labels, or `missing_labels` of the dataset) become Unknown; cells without any count are
    dropped.

    \b
    Writes  data/DATASET/labelled/cells.h5ad      the evaluated cells (all, unless there is a subset)
            data/DATASET/labelled/obs.csv         their annotations
            data/corpus/DATASET/cells.h5ad        the other cells, if grid.pretrain in params.yaml names DATASET
            metrics/verification/DATASET.json     what was found, renamed and dropped, and how many cells of each label
    More than 32,768 cells are written in parts instead: parts/, obs.parquet, manifest.json (docs/scaling.md).
    Example: python -m stages.label covid
    """
    config, fallback = fetched(dataset)

    from genept.core import allocator, files
    from genept.data import genes, hgnc
    from genept.datasets import label, labelled, record
    from genept.datasets.inputs import check_hashes

    allocator.give_back()
    folder = DATA / dataset
    digests = check_hashes(folder / "raw", config)
    with_corpus = dataset in params.grid.pretrain
    accepts = dataset in params.label.accept_unexpected
    table, missing, least = genes.Table(hgnc.read()), params.label.missing_labels, params.label.least_known_genes
    found = label.label(folder / "raw", config, table, dataset, with_corpus, accepts, missing, least)
    report = record.describe(dataset, config, fallback, found, digests, folder / "raw", params.label.min_class_size)
    with ExitStack() as stack:  # all are written before the first replaces an earlier one
        corpus, used = stack.enter_context(files.replacing_folder(DATA / "corpus" / dataset)), list[str]()
        if found.corpus is not None:
            used += labelled.write(corpus, found.corpus, found.var(), found.uns(), dataset, obs=False)
        own = stack.enter_context(files.replacing_folder(folder / "labelled"))
        used += labelled.write(own, found.cells, found.var(), found.uns(), dataset)
        path = Path("metrics/verification") / f"{dataset}.json"
        files.write_json(stack.enter_context(files.replacing(path)), report)
    labelled.note_used(dataset, used)

    cells, symbols = report["cells"], report["genes"]
    say(
        f"{dataset}: {cells['n_evaluated']} cells evaluated, {cells['n_not_evaluated']} others, "
        f"{cells['n_empty_dropped']} empty dropped; {symbols['n_genes']} genes, {symbols['n_renamed']} renamed, "
        f"{len(symbols['unknown'])} unknown to HGNC"
    )
    for note in report["notes"]:
        say(f"{dataset}: {note}")


if __name__ == "__main__":
    main(prog_name="python -m stages.label")
