"""Draw all pictures of a dataset; ``python -m stages.plot --help`` says which."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from genept.core import files
from genept.core.cli import progress, say, stage
from genept.core.params import Params
from genept.data import cells, embeddings
from genept.datasets.config import DatasetConfig, fetched
from genept.engines import config as models

PLOTS, AGREEMENT = Path("plots"), Path("metrics/annotation")


@click.command()
@click.argument("dataset")
@stage
def main(params: Params, dataset: str) -> None:
    """Draw how embeddings arrange the cells of DATASET, as Figure 3 of the paper, and the evidence of its annotation.

    A picture has the UMAP of a model below that of `baseline` in params.yaml; the columns are phenotype, cell type
    and patient, those that DATASET has. Of a fine-tuned embedding only the cells that fine-tuning has not seen are
    drawn, in both rows. The other settings are under `plot`, too. A layout is computed once per embedding and settings.

    \b
    Writes  data/DATASET/umap/MODEL.npy         coordinates of the rows of data/DATASET/obs.csv, NaN if not drawn
            plots/umap/DATASET/MODEL.png        for every model of the grid but baseline and the controls
            plots/cells/DATASET.csv             annotations and coordinates of each cell, for the report's page
            plots/annotation/DATASET/*.png      marker genes by cluster and the clusters' UMAP, if they were annotated
    Example: python -m stages.plot covid
    """
    config, _ = fetched(dataset)
    grid, above = params.grid.models, params.baseline
    drawn_models = [name for name in grid.names if name != above and name not in grid.controls]
    titles = {name: models.read(name).title for name in [above, *drawn_models]}

    import numpy as np

    from genept.data import umap
    from genept.plots import cell_table, page, panels

    obs = cells.read_obs(dataset)
    with ExitStack() as stack:  # all folders are complete before the first takes its place
        layouts, umaps, annotations = (
            stack.enter_context(files.replacing_folder(folder))
            for folder in (umap.folder(dataset), PLOTS / "umap" / dataset, PLOTS / "annotation" / dataset)
        )
        is_annotated = draw_annotation(dataset, config, annotations)
        upper = panels.layout(dataset, above, list(obs.index), params.plot)
        np.save(layouts / f"{above}.npy", upper, allow_pickle=False)
        coordinates = {above: upper}
        for model in progress(drawn_models, "pictures"):
            lower = panels.layout(dataset, model, list(obs.index), params.plot)
            np.save(layouts / f"{model}.npy", lower, allow_pickle=False)
            coordinates[model] = lower
            drawn = np.flatnonzero(np.isfinite(upper + lower).all(axis=1))
            rows = [panels.Row(titles[name], layout[drawn]) for name, layout in ((above, upper), (model, lower))]
            widths = [embeddings.read(dataset, name, list(obs.index)).shape[1] for name in (above, model)]
            caption = panels.caption(dataset, config.note, len(drawn), len(obs), widths, params.plot)
            page.save(panels.draw(rows, panels.columns(obs, drawn), config.title, caption), umaps / f"{model}.png")
        table = stack.enter_context(files.replacing(cell_table.FOLDER / f"{dataset}.csv"))
        cell_table.make(obs, coordinates, params.plot.seed).to_csv(table, lineterminator="\n")
    say(f"{dataset}: {len(drawn_models)} embeddings{' and the annotation' if is_annotated else ''} drawn")


def draw_annotation(dataset: str, config: DatasetConfig, folder: Path) -> bool:
    """Draw the evidence of an annotation into a folder, if the dataset has one; return whether it has."""
    tables = cells.DATA / dataset / "annotation"
    if files.read_json(tables / "summary.json")["label_source"] != "annotation":
        return False
    from genept.plots import annotation, page

    evidence = annotation.read(tables)
    about = f"Dataset {dataset}{f' ({config.note})' if config.note else ''}"
    page.save(annotation.markers(evidence, config.title, about), folder / "markers.png", has_shades=True)
    agreed = annotation.agreement(AGREEMENT / dataset / "agreement.json", tables)
    page.save(annotation.umap(evidence, config.title, about, agreed), folder / "umap.png")
    return True


if __name__ == "__main__":
    main(prog_name="python -m stages.plot")
