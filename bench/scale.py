"""How much time, memory and disk the stages take for how many cells: ``python -m bench.scale``; README.md says more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from bench import costs, tiles
from genept.core import cli, files
from genept.core.errors import InputError, ParamsError, nearest
from genept.core.params import PATH, Params
from genept.data import cells
from genept.datasets import config as datasets
from genept.engines import config as models

if TYPE_CHECKING:
    from anndata import AnnData

SOURCE, TILED = "ovarian", "tiled"
RESULTS, TABLE, PICTURE = Path("bench/results/scale.csv"), Path("docs/scaling.csv"), Path("docs/scaling.svg")
ANNOTATE, LABEL, EVALUATE, PLOT = STAGES = ("annotate", "label", "evaluate", "plot")  # the others embed by a model
STEPS = (
    *(LABEL, "expression", "random_w", "genept_w_minilm", "genept_s_minilm", "scgpt_mini", "geneformer_mini"),
    "genept_w_ft_minilm",
)
NETWORK_CELLS = 10_000  # by default the networks get no more
RELEASED = {"scgpt_trained": "scgpt", "geneformer_trained": "geneformer"}  # here, these are trained already
EMBEDDING = 4096  # bytes a cell that a step is taken to write if the table has no measurement of it
DISTURBED = 0.3  # cores: more, used by other processes, is said
MARGIN, LEAST = 1.2, 0.2e9  # of the disk: a factor, and bytes


class Numbers(click.ParamType):
    """Whole numbers above 0, separated by commas."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Return the numbers in ascending order."""
        try:
            numbers = sorted({int(part) for part in str(value).split(",") if part})
        except ValueError:
            numbers = []
        if not numbers or numbers[0] < 1:
            self.fail(f"{value!r}: whole numbers above 0, separated by commas", param, ctx)
        return numbers


def ordered(wanted: Sequence[str], params: Params) -> list[str]:
    """Return steps in the order of the pipeline, with those that others need; `ParamsError` for an unknown one."""
    known = [ANNOTATE, LABEL, *params.grid.models.names, EVALUATE, PLOT]
    for step in wanted:
        if step not in known:
            raise ParamsError(
                f"--steps: no step {step!r}{nearest(step, known) or '.'} Known, by params.yaml: {', '.join(known)}"
            )
    needed = {LABEL, *wanted, *([ANNOTATE] if PLOT in wanted else [])}
    return [step for step in known if step in needed]


def is_network(step: str, params: Params) -> bool:
    """Whether a step runs a network on each cell, which takes as long as on any other."""
    grid = params.grid.models
    lists = (grid.genept_s, grid.scgpt, grid.geneformer, grid.scgpt_trained, grid.geneformer_trained)
    return any(step in names for names in lists)


def folders(steps: Sequence[str], params: Params) -> list[Path]:
    """Return the folders of models that steps need, as the last run left them; `InputError` if one is not there."""
    grid = params.grid.models
    own = {step for step in steps if step in grid.names and step not in (*grid.custom, *grid.controls, *grid.finetuned)}
    own |= {grid.genept_w[0] for step in steps if step in grid.controls}
    for path in (found := [models.MODELS / name for name in sorted(own)]):
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; run `make repro` first, the benchmark uses its models and cells")
    return found


def lay_out(project: Path, steps: Sequence[str], params: Params) -> None:
    """Make a project of one dataset: settings, and links to tables of genes and to models."""
    (project / cells.DATA / TILED / "raw").mkdir(parents=True)
    (project / models.MODELS).mkdir()
    (project / cells.DATA / "reference").symlink_to((cells.DATA / "reference").resolve())
    for path in models.MODELS.iterdir():
        if path.is_file():
            shutil.copyfile(path, project / path)
    for path in [models.MODELS / "sources", *folders(steps, params)]:
        (project / path).symlink_to(path.resolve())
    origin = yaml.safe_load(datasets.path(SOURCE).read_text(encoding="utf-8"))
    settings = {
        "title": "Tiled cells",
        "note": "for a benchmark",
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": "tiled.h5ad"}}},
    }
    settings |= {key: origin[key] for key in ("x", "obs", "finetune")}
    (project / datasets.path(TILED)).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def write_params(project: Path, steps: Sequence[str], params: Params) -> None:
    """Write the parameters, with the models among `steps` as grid; the first of GenePT-w, of which others are made."""
    content = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    grid: dict[str, list[str]] = {}
    for key, names in params.grid.models.model_dump().items():
        chosen = [name for name in names if name in steps or (key == "genept_w" and name == names[0])]
        grid.setdefault(RELEASED.get(key, key), []).extend(chosen)
    content["grid"] = {"datasets": [TILED], "models": grid}
    content["grids"] = {}
    if params.baseline not in steps:
        content["baseline"] = grid["genept_w"][0]
    (project / PATH).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def command(step: str, params: Params) -> list[str]:
    """Return the command of a step, as DVC runs it."""
    if step in STAGES:
        arguments = [step, TILED]
    elif step in params.grid.models.finetuned:
        arguments = ["finetune", TILED, step, "--from", params.grid.models.genept_w[0]]
    else:
        arguments = ["embed", TILED, step]
    return [sys.executable, "-m", f"stages.{arguments[0]}", *arguments[1:]]


def failure(code: int, log: Path) -> str:
    """Return why a command ended, in one line."""
    if code < 0:
        return f"killed by signal {-code}" + (", as when memory is out" if code == -9 else "")
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
    reasons = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    return " ".join(lines[reasons[-1] :] if reasons else lines[-1:]).removeprefix("Error: ")


def run(project: Path, n_cells: int, steps: Sequence[str], params: Params) -> Iterator[dict[str, Any]]:
    """Run the steps, and yield what each cost; say which failed."""
    environment = {**os.environ, "PYTHONPATH": str(files.ROOT)}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    done: list[str] = []
    for step in steps:
        write_params(project, done if step in (EVALUATE, PLOT) else steps, params)
        log = project.with_suffix(f".{step}.log")
        cost, code = costs.measure(command(step, params), project, environment, log)
        if code:
            click.echo(f"{step}, {n_cells:,} cells: failed after {cost.seconds:.0f} s: {failure(code, log)}", err=True)
            if step == LABEL:
                return
            continue
        done.append(step)
        values = {key: round(value, 2) if isinstance(value, float) else value for key, value in cost._asdict().items()}
        yield {"step": step, "cells": n_cells, **values, "threads": params.threads, "commit": commit}


def disk(source: AnnData, scratch: Path, plan: dict[int, list[str]], keep: bool) -> float:
    """Return the bytes of disk that the benchmark needs: those of a cell, measured, times the cells.

    A cell of the tiled file is measured here, on one block. What a step writes is known from the table in docs/.
    """
    sample = scratch / "sample.h5ad"
    tiles.write(source, tiles.BLOCK, sample)
    of_cell = sample.stat().st_size / tiles.BLOCK
    sample.unlink()
    sizes = [
        n_cells * (of_cell + sum(costs.written_per_cell(TABLE, step, EMBEDDING) for step in steps))
        for n_cells, steps in plan.items()
    ]
    return LEAST + MARGIN * (sum(sizes) if keep else max(sizes))


@click.command()
@click.option("--cells", "sizes", type=Numbers(), default="2000,10000,50000", show_default=True, help="How many cells.")
@click.option(
    "--network-cells", type=Numbers(), help=f"For networks.  [default: those of --cells to {NETWORK_CELLS:,}]"
)
@click.option(
    "--steps", default=",".join(STEPS), help=f"Of {', '.join(STAGES)} and the grid's models.  [default: label, models]"
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Scratch is made in it.")
@click.option("--keep", is_flag=True, help="Leave the scratch folder, with the log of each step.")
@click.option("--draw", is_flag=True, help="Measure nothing: draw the last measurements.")
@cli.stage
def main(
    params: Params,
    sizes: list[int],
    network_cells: list[int] | None,
    steps: str,
    folder: Path | None,
    keep: bool,
    draw: bool,
) -> None:
    """Measure what stages cost on N cells, tiled from those of the last run's dataset `ovarian`.

    Each step is the stage's command, in a process of its own, in a scratch project. Rows are appended to
    bench/results/scale.csv. --draw writes docs/scaling.csv, the last row of each step and N of that file, and draws
    docs/scaling.svg from it; without that file it draws the committed docs/scaling.csv.

    \b
    Example: python -m bench.scale --cells 20000,100000 --steps label,genept_w_minilm
    """
    if draw:
        table = costs.read(RESULTS if RESULTS.exists() else TABLE)
        with files.replacing(TABLE) as path:
            table.to_csv(path, index=False, lineterminator="\n")
        costs.draw(table, [LABEL, *params.grid.models.names, EVALUATE, PLOT], PICTURE)
        click.echo(f"{TABLE}, {PICTURE}")
        return
    wanted = ordered([step for step in steps.split(",") if step], params)
    networks = [step for step in wanted if is_network(step, params)]
    network_cells = network_cells or [size for size in sizes if size <= NETWORK_CELLS]
    plan = {
        size: [
            s for s in wanted if s in (ANNOTATE, LABEL) or (size in network_cells if s in networks else size in sizes)
        ]
        for size in sorted({*sizes, *(network_cells if networks else [])})
    }
    folders(wanted, params)
    raw = cells.DATA / SOURCE / "raw/raw.h5ad"
    if not raw.is_file():
        raise InputError(f"{raw}: no such file; run `make repro` first, the benchmark tiles its cells")

    import anndata

    source = anndata.read_h5ad(raw)
    scratch = Path(tempfile.mkdtemp(prefix="scale-", dir=folder))
    rows: list[dict[str, Any]] = []
    try:
        need, free = disk(source, scratch, plan, keep), shutil.disk_usage(scratch).free
        click.echo(f"{need / 1e9:.1f} GB of disk are needed in {scratch}, {free / 1e9:.1f} GB are free")
        if need > free:
            raise InputError(f"{scratch.parent}: too little disk for the benchmark; fewer --cells, or another --folder")
        for size, chosen in plan.items():
            project = scratch / str(size)
            lay_out(project, chosen, params)
            target = project / cells.DATA / TILED / "raw/raw.h5ad"  # where `fetch` would put it
            tiles.write(source, size, target)
            click.echo(f"{size:,} cells tiled: {target.stat().st_size / 1e6:,.0f} MB")
            for row in run(project, size, chosen, params):
                costs.append(row, RESULTS)
                rows.append(row)
                disturbed = f"; others used {row['others']:.1f} cores" if row["others"] > DISTURBED else ""
                memory = f"{row['private'] / 1e9:.2f} GB{disturbed}"
                click.echo(f"{row['step']}, {size:,} cells: {row['seconds']:.0f} s, {memory}")
            if not keep:
                shutil.rmtree(project)
    finally:
        if not keep:
            shutil.rmtree(scratch, ignore_errors=True)
        if rows:
            click.echo(f"\n{costs.text(rows)}\n\n{RESULTS}" + (f", {scratch}" if keep else ""))
    if len(rows) < sum(map(len, plan.values())):
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="python -m bench.scale")
