"""Draw all pictures of a dataset; ``python -m stages.plot --help`` says which."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from genept.core import files
from genept.core.cli import progress, say, stage
from genept.core.params import Params
from genept.data import cells
from genept.datasets.config import USER, DatasetConfig, fetched
from genept.engines import config as models

PLOTS, AGREEMENT = Path("plots"), Path("metrics/annotation")


@click.command()
@click.argument("dataset")
@stage
def main(params: Params, dataset: str) -> None:
    """Draw how embeddings arrange the cells of DATASET, as Figure 3 of the paper, and the evidence of its annotation.

    One grid has the panels of all models and controls: phenotype, cell type and patient, those that DATASET has. Of a
    control the first draw, of a fine-tuned embedding only the cells that fine-tuning has not seen are drawn. Of a
    dataset with more cells than plot.above, a seeded sample is drawn, the same of every model. The settings are under
    `plot` in params.yaml. A layout is computed once per embedding and settings.

    \b
    Writes  data/DATASET/umap/MODEL.npy         coordinates of the labelled cells, NaN if not drawn
            plots/umap/DATASET/all_models.png   the grid, 180 mm wide
            plots/umap/DATASET/cell_type.png    its cell types, 85 mm wide
            plots/cells/DATASET.csv             annotations and coordinates of each cell, for the report's page
            plots/annotation/DATASET/*.png      marker genes by cluster and the clusters' UMAP, if they were annotated
            plots/pdf/DATASET/*.pdf             the UMAPs of models, points as pixels and the rest as vectors
    Example: python -m stages.plot covid
    """
    config, _ = fetched(dataset)
    names = sorted(params.grid.models.names, key=lambda name: name != params.baseline)  # the baseline comes first
    titles = {name: models.read(name).title for name in names}

    import numpy as np

    from genept.data import umap
    from genept.plots import cell_table, layouts, page, panels

    obs = cells.read_obs(dataset)
    with ExitStack() as stack:  # all folders are complete before the first takes its place
        coordinates, umaps, pdfs, annotations = (
            stack.enter_context(files.replacing_folder(folder))
            for folder in (umap.folder(dataset), *(PLOTS / kind / dataset for kind in ("umap", "pdf", "annotation")))
        )
        is_annotated = draw_annotation(dataset, config, annotations)
        drawn = []
        for name in progress(names, "layouts", unit="layout"):
            drawn.append(layouts.read(dataset, name, titles[name], list(obs.index), params.plot))
            np.save(coordinates / f"{name}.npy", drawn[-1].coordinates, allow_pickle=False)
        about = f"Dataset {dataset}{f' ({config.note})' if config.note else ''}, "
        about += f"{layouts.described(len(obs), params.plot)}."
        for name, figure in panels.of_models(drawn, layouts.columns(obs), config.title, about, params.plot).items():
            page.save(figure, umaps / f"{name}.png", dpi=page.PRINT)
            page.save_vector(figure, pdfs / f"{name}.pdf")
        of_models = {one.model: one.coordinates for one in drawn}
        points = cell_table.make(obs, of_models, params.plot.seed, layouts.sample(len(obs), params.plot))
        points.to_csv(stack.enter_context(files.replacing(cell_table.FOLDER / f"{dataset}.csv")), lineterminator="\n")
    say(f"{dataset}: {len(names)} embeddings{' and the annotation' if is_annotated else ''} drawn")


def draw_annotation(dataset: str, config: DatasetConfig, folder: Path) -> bool:
    """Draw the evidence of an annotation into a folder, if the dataset has one; return whether it has."""
    tables = cells.DATA / dataset / "annotation"
    from genept.plots import annotation, page

    if not annotation.is_annotated(tables):
        return False

    evidence = annotation.read(tables)
    about = f"Dataset {dataset}{f' ({config.note})' if config.note else ''}"
    page.save(annotation.markers(evidence, config.title, about), folder / "markers.png", has_shades=True)
    whose = "the user's" if config.label_source == USER else "the authors'"
    agreed = annotation.agreement(AGREEMENT / dataset / "agreement.json", tables, whose)
    for name, figure in annotation.umap(evidence, config.title, about, agreed).items():
        page.save(figure, folder / f"{name}.png", dpi=page.PRINT)
    return True


if __name__ == "__main__":
    main(prog_name="python -m stages.plot")
