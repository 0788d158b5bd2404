"""Lay out embeddings in two dimensions and draw them.

Usage: ``python -m stages.plot panel covid scgpt_mini --above expression``
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genept.core import files
from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError
from genept.data import cells, embeddings

if TYPE_CHECKING:
    import numpy as np

PICTURES = Path("plots/umap")
OPTIONS = ("n_components_pca", "n_neighbors", "min_dist", "spread", "n_epochs", "seed")


@click.group()
def main() -> None:
    """Draw how embeddings arrange the cells, as Figure 3 of the paper: UMAP, coloured by what is known of the cells.

    The choices are under `umap` in params.yaml.
    """


@main.command()
@click.argument("dataset")
@click.argument("model")
@stage
def baseline(params: dict[str, Any], dataset: str, model: str) -> None:
    """Lay out the embedding of DATASET by MODEL, for the upper row of every picture of the dataset.

    Writes data/DATASET/umap/MODEL.npy: one row per cell of data/DATASET/obs.csv, two columns.

    Example: python -m stages.plot baseline covid expression
    """
    obs, drawn = chosen_cells(params, dataset, model)
    lay_out(params, dataset, model, list(obs.index), drawn)


@main.command()
@click.argument("dataset")
@click.argument("model")
@click.option("--above", required=True, help="The model of the upper row; `baseline` has laid it out.")
@stage
def panel(params: dict[str, Any], dataset: str, model: str, above: str) -> None:
    """Lay out the embedding of DATASET by MODEL and draw it under that of another model.

    Writes data/DATASET/umap/MODEL.npy and the picture plots/umap/DATASET/MODEL.png. The columns are phenotype, cell
    type and patient, those that DATASET has. Of a fine-tuned embedding only the cells that fine-tuning has not seen
    are laid out and drawn, in both rows; the other rows of its coordinates are NaN.

    Example: python -m stages.plot panel covid scgpt_mini --above expression
    """
    import numpy as np

    obs, drawn = chosen_cells(params, dataset, model)
    upper_title = parameters.entry(params, "models", above)["title"]
    upper_path = coordinates_path(dataset, above)
    upper = np.load(upper_path, allow_pickle=False)
    if len(upper) != len(obs):
        raise InputError(
            f"{upper_path}: {len(upper)} rows for the {len(obs)} cells of data/{dataset}/obs.csv; "
            f"`python -m stages.plot baseline {dataset} {above}` makes it anew"
        )
    lower = lay_out(params, dataset, model, list(obs.index), drawn)
    lower_title = parameters.entry(params, "models", model)["title"]

    from genept.plots import panels

    figure = panels.draw(
        [panels.Row(upper_title, upper[drawn]), panels.Row(lower_title, lower[drawn])],
        obs,
        drawn,
        parameters.entry(params, "datasets", dataset)["title"],
        caption(params, dataset, len(drawn), len(obs)),
    )
    picture = PICTURES / dataset / f"{model}.png"
    panels.save(figure, picture)
    click.echo(f"{dataset} x {model}: {len(drawn)} of {len(obs)} cells drawn, {picture}")


def chosen_cells(params: dict[str, Any], dataset: str, model: str) -> tuple[Any, np.ndarray]:
    """Return the annotations of all cells, and the rows that are drawn: all, or those a fine-tuned model has not seen.

    Raises
    ------
    ParamsError
        If there is no such dataset or model.
    InputError
        If the listed unseen cells are not rows of the dataset.
    """
    import numpy as np

    for section, name in (("datasets", dataset), ("models", model)):
        parameters.entry(params, section, name)
    obs = cells.read_obs(dataset)
    unseen = embeddings.read_notes(dataset, model).get("unseen_cells")
    if unseen is None:
        return obs, np.arange(len(obs))
    drawn = np.unique(np.asarray(unseen, dtype=int))
    if not len(drawn) or drawn[0] < 0 or drawn[-1] >= len(obs):
        path = embeddings.notes_path(dataset, model)
        raise InputError(f"{path}: unseen_cells are not rows of data/{dataset}/obs.csv")
    return obs, drawn


def lay_out(params: dict[str, Any], dataset: str, model: str, cell_ids: list[str], drawn: np.ndarray) -> np.ndarray:
    """Compute and write the coordinates, shape (n_cells, 2), of the drawn cells; NaN for the others."""
    import numpy as np

    from genept.data import umap as layout

    matrix = embeddings.read(dataset, model, cell_ids)
    coordinates = np.full((len(cell_ids), 2), np.nan, dtype=np.float32)
    coordinates[drawn] = layout.coordinates(matrix[drawn], **options(params))
    with files.replacing(coordinates_path(dataset, model)) as temporary:
        np.save(temporary, coordinates, allow_pickle=False)
    return coordinates


def options(params: dict[str, Any]) -> dict[str, Any]:
    """Return the checked options of the layout.

    Raises
    ------
    ParamsError
        If one is missing, unknown or not what it should be.
    """
    given = params.get("umap") or {}
    if wrong := [name for name in OPTIONS if name not in given]:
        raise ParamsError(f"{parameters.PATH}: umap.{wrong[0]} is missing")
    if wrong := [name for name in given if name not in OPTIONS]:
        raise ParamsError(f"{parameters.PATH}: umap.{wrong[0]} is unknown; known: {', '.join(OPTIONS)}")
    for name, least in {"n_components_pca": 1, "n_neighbors": 2, "n_epochs": 1, "seed": 0}.items():
        value = given[name]
        if (name, value) != ("n_epochs", None) and (type(value) is not int or value < least):
            raise ParamsError(f"{parameters.PATH}: umap.{name} must be a whole number from {least}, got {value!r}")
    min_dist, spread = given["min_dist"], given["spread"]
    if not (isinstance(min_dist, int | float) and isinstance(spread, int | float) and 0 <= min_dist <= spread):
        raise ParamsError(
            f"{parameters.PATH}: umap.min_dist must be from 0 to umap.spread, got {min_dist!r}, {spread!r}"
        )
    return given


def coordinates_path(dataset: str, model: str) -> Path:
    """Path of a layout's coordinates."""
    return cells.DATA / dataset / "umap" / f"{model}.npy"


def caption(params: dict[str, Any], dataset: str, n_drawn: int, n_cells: int) -> str:
    """Say what a picture shows."""
    note = parameters.entry(params, "datasets", dataset)["note"]
    umap = options(params)
    drawn = f"{n_drawn:,} cells"
    if n_drawn < n_cells:
        drawn = f"the {n_drawn:,} of {n_cells:,} cells that fine-tuning has not seen"
    return (
        f"Dataset {dataset}{f' ({note})' if note else ''}, {drawn}. UMAP of {umap['n_components_pca']} principal "
        f"components: {umap['n_neighbors']} neighbours, min_dist {umap['min_dist']}, spread {umap['spread']}, "
        f"seed {umap['seed']}. Each row is a layout of its own; colours are the same in both."
    )


if __name__ == "__main__":
    main(prog_name="python -m stages.plot")
