"""The evidence of an annotation in two pictures: the marker genes of every cluster, and the clusters on a UMAP.

They are drawn from the tables in ``data/<dataset>/annotation``, so a change of a picture annotates nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pydantic import ConfigDict, FiniteFloat, with_config
from scanpy.pl import DotPlot
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from genept.core.readers import Reader, count, damaged, number, optional, read_json, read_table
from genept.core.text import shorten
from genept.plots import layouts, panels
from genept.plots.page import INK, MUTED, fill, plain_style
from genept.plots.palette import DIVERGING, looks

MAX_GENES = 8  # of a type, the first of its marker table
LIMIT = 2  # of z; the shades end there
LARGE, MEDIUM = 12.6, 9.1  # points; the other texts are scanpy's
SCORE, MARGIN, LEGENDS = 2.0, 4.6, 4.4  # right of the dots, in genes: where two columns end, how far legends move


ANNOTATION = "annotation"  # who labelled the cells, in ``summary.json``: `annotate`
SHAPE = ConfigDict(extra="allow", strict=True)


@with_config(SHAPE)
class Source(TypedDict):
    """Who gave the cell types."""

    label_source: str


@with_config(SHAPE)
class Settings(TypedDict):
    """The settings that a caption names."""

    batch: str | None
    resolution: FiniteFloat
    seed: int


@with_config(SHAPE)
class Summary(TypedDict):
    """What a caption names of ``summary.json``."""

    settings: Settings
    n_neighbors: int


@with_config(SHAPE)
class Scores(TypedDict):
    """The agreement that a caption names."""

    ari: FiniteFloat


@dataclass(frozen=True)
class Evidence:
    """The tables that `genept.annotation.results.write` describes; `umap` has each cell's cluster and type, too."""

    clusters: pd.DataFrame
    markers: pd.DataFrame
    umap: pd.DataFrame
    summary: Summary

    @property
    def types(self) -> list[str]:
        """The types that have marker genes in the data, in the order of the marker table."""
        return list(dict.fromkeys(self.markers["cell_type"]))

    @property
    def unknown(self) -> str:
        """The name of clusters without a type; empty if there is no such cluster."""
        return next(iter(set(self.clusters["cell_type"]) - set(self.types)), "")


def is_annotated(folder: Path) -> bool:
    """Say whether the cells of a dataset were annotated here; `InputError` if its summary is damaged."""
    summary = read_json(folder / "summary.json", Source, f"annotate@{folder.parent.name}")
    return summary["label_source"] == ANNOTATION


def read(folder: Path) -> Evidence:
    """Read the tables of an annotation; `InputError` if one is damaged."""
    stage = f"annotate@{folder.parent.name}"

    def table(name: str, texts: Sequence[str], numbers: Sequence[str], key: str = "") -> pd.DataFrame:
        columns: dict[str, Reader] = {**dict.fromkeys(texts, str), **dict.fromkeys(numbers, number)}
        columns |= {"n_cells": count} if name == "clusters" else {}
        return pd.DataFrame(read_table(folder / f"{name}.csv", columns, stage, key=key, may_be_empty=False))

    clusters = table("clusters", ["cluster", "cell_type"], ["score", "margin"], key="cluster")
    markers = table("markers", ["cluster", "cell_type", "gene"], ["z", "share"])
    umap = table("umap", ["cell_id", "batch"], ["umap_1", "umap_2"], key="cell_id")
    cells = table("cells", ["cell_id", "cluster", "cell_type"], [], key="cell_id")
    both = umap.merge(cells[["cell_id", "cluster", "cell_type"]], on="cell_id")
    if len(both) < len(umap) or set(markers["cluster"]) != set(clusters["cluster"]):
        raise damaged(folder, stage, "its tables are of other cells, or of other clusters")
    return Evidence(clusters, markers, both, read_json(folder / "summary.json", Summary, stage))


def agreement(scores: Path, folder: Path, whose: str = "the authors'") -> str:
    """Say in a sentence how far the labels of the files agree, in all cells and in those of single donors.

    `scores` is the file of `genept.annotation.results.write_agreement`, `folder` that of its tables; `whose` the labels
    are. Empty where the files have none.
    """
    if not scores.exists():
        return ""
    ranges, by_patient, stage = "", folder / "agreement_by_patient.csv", f"annotate@{folder.parent.name}"
    if by_patient.is_file():
        ari = [one for one in read_table(by_patient, {"ari": optional(number)}, stage)["ari"] if one is not None]
        ranges = f"; of single donors {min(ari):.2f} to {max(ari):.2f}" if ari else ""
    of_all = read_json(scores, Scores, stage)["ari"]
    return f"Agreement with {whose} labels: adjusted Rand index {of_all:.2f}{ranges}."


class Dots(DotPlot):
    """scanpy's dot plot in the sizes of the other pictures."""

    DEFAULT_CATEGORY_HEIGHT = DEFAULT_CATEGORY_WIDTH = 0.2  # inches
    DEFAULT_LARGEST_DOT = 120.0  # square points


@plain_style
def markers(evidence: Evidence, title: str, about: str) -> Figure:
    """Draw a dot for every cluster (rows) and marker gene: z as colour, the share of cells that have it as area.

    Clusters are sorted by type, those without one last. The genes of a cluster's type are framed; score and margin
    stand on the right.
    """
    types = evidence.types
    place = {name: number for number, name in enumerate(types)}
    clusters = evidence.clusters.sort_values("cell_type", key=lambda names: names.map(place), kind="stable")
    ids = list(clusters["cluster"])
    table = evidence.markers.assign(column=evidence.markers.groupby("cluster").cumcount().astype(str))
    scored = table[table["cluster"] == table["cluster"].iloc[0]]
    genes = scored[scored.groupby("cell_type").cumcount() < MAX_GENES]
    groups = {shorten(str(name)): list(columns) for name, columns in genes.groupby("cell_type", sort=False)["column"]}
    z, shares = (
        table.pivot(index="cluster", columns="column", values=values).loc[ids, genes["column"]]
        for values in ("z", "share")
    )

    figure = Figure()
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0, 0, 1, 1)
    plot = Dots(
        anndata.AnnData(
            np.zeros(z.shape, dtype=np.float32),  # scanpy reads the two tables in its place
            obs=pd.DataFrame({"cluster": pd.Categorical(ids, categories=ids)}, index=ids),
            var=pd.DataFrame(index=genes["column"].to_numpy()),
        ),
        groups,
        "cluster",
        categories_order=ids,
        dot_color_df=z,
        dot_size_df=shares,
        vmin=-LIMIT,
        vmax=LIMIT,
        var_group_rotation=0 if all(len(name) <= 4 * len(columns) for name, columns in groups.items()) else 90,
        ax=figure.add_subplot(),
    )
    plot.style(
        cmap=DIVERGING, dot_min=0, dot_max=1, smallest_dot=0, size_exponent=1, dot_edge_color=MUTED, dot_edge_lw=0.3
    )
    plot.legend(colorbar_title="Mean expression,\nz over clusters", size_title="Share of cells\nthat have the gene (%)")
    plot.make_figure()
    figure.set_size_inches(plot.width, plot.height)
    for ax in set(figure.axes) - set(plot.ax_dict.values()):
        ax.set_visible(False)  # an empty frame of scanpy's grid
    add_texts(plot, clusters, list(genes["gene"]), evidence.unknown)
    ends = dict(zip(groups, np.cumsum([len(columns) for columns in groups.values()]), strict=True))
    for row, cell_type in enumerate(clusters["cell_type"]):
        if (name := shorten(cell_type)) in groups:
            n_genes = len(groups[name])
            frame = Rectangle((ends[name] - n_genes, row), n_genes, 1, fill=False, edgecolor=INK, clip_on=False)
            plot.ax_dict["mainplot_ax"].add_patch(frame)
    cut = f" Of a type with more, the first {MAX_GENES} genes of the table are drawn."
    caption = (
        f"{about}. Cell types were given to clusters by these marker genes: the score is the mean z of a type's genes, "
        "the margin its lead over the next type (of an unknown cluster, those of its best type); the genes of the "
        f"cluster's type are framed.{cut if len(genes) < len(scored) else ''}"
    )
    box = figure.get_tightbbox()
    left, width = box.x0 / plot.width, box.width
    above, below = box.y1 / plot.height + 0.04, box.y0 / plot.height - 0.04
    figure.text(left, above, fill(title, width, LARGE, "bold"), fontsize=LARGE, weight="bold")
    figure.text(left, below, fill(caption, width, MEDIUM), fontsize=MEDIUM, va="top")
    return figure


def add_texts(plot: DotPlot, clusters: pd.DataFrame, genes: list[str], unknown: str) -> None:
    """Name rows and columns, and write scores and margins between dots and legends."""
    ax = plot.ax_dict["mainplot_ax"]
    names = [f"{shorten(str(row.cell_type))}, {row.n_cells:,} cells  {row.cluster}" for row in clusters.itertuples()]
    ax.set_xticks(ax.get_xticks(), genes, fontsize="small")
    ax.set_yticks(ax.get_yticks(), names, fontsize="small")
    right = ax.get_xlim()[1]
    for place, name in ((SCORE, "score"), (MARGIN, "margin")):
        ax.text(right + place, -0.2, name.capitalize(), fontsize="small", weight="bold", ha="right", va="bottom")
        for row, value in enumerate(clusters[name]):
            ax.text(right + place, row + 0.5, f"{value:.2f}", fontsize="small", ha="right", va="center_baseline")
    for tick, cell_type in zip(ax.get_yticklabels(), clusters["cell_type"], strict=True):
        tick.set_color(MUTED if cell_type == unknown else INK)
    per_gene = ax.get_position().width / (right - ax.get_xlim()[0])
    for legend in ("size_legend_ax", "color_legend_ax"):
        axes = plot.ax_dict[legend]
        axes.set_position(axes.get_position().translated(LEGENDS * per_gene, 0))


def umap(evidence: Evidence, title: str, about: str, agreed: str = "") -> dict[str, Figure]:
    """Draw the cells that passed quality control by cluster, by type and, if there are several, by batch.

    `agreed` is a sentence at the end of the caption, that of `agreement`. Many clusters or types are drawn one by one
    as well: the names are those of the files.
    """
    cells, settings = evidence.umap, evidence.summary["settings"]
    batch = settings["batch"]
    types = looks(cells["cell_type"], no_label=evidence.unknown)
    columns = [
        layouts.Column("cluster", cells["cluster"].to_numpy(str), looks(cells["cluster"]), numbered=True),
        layouts.Column("cell_type", cells["cell_type"].to_numpy(str), types, numbered=False),
    ]
    if batch:
        batches = cells["batch"].to_numpy(str)
        columns.append(layouts.Column(batch, batches, looks(batches), numbered=False, apart=False))
    balance = ", balanced over batches" if batch else ""
    n_passing = sum(evidence.clusters["n_cells"])
    drawn = f"{len(cells):,} drawn of " if len(cells) < n_passing else ""
    caption = (
        f"{about}, {drawn}{n_passing:,} cells that passed quality control. UMAP of the graph that was clustered: "
        f"{evidence.summary['n_neighbors']} neighbours{balance}; Leiden at resolution {settings['resolution']:g}, "
        f"seed {settings['seed']}. {agreed}"
    ).rstrip()
    coordinates = cells[["umap_1", "umap_2"]].to_numpy()
    layout = layouts.Layout("", "", coordinates, space=coordinates, n_dimensions=2)
    return panels.pictures([layout], columns, title, caption, "umap")
