"""Compare the embedding engines with the upstream way on this machine: ``python -m bench``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from genept.core import cli, files
from genept.core.errors import ParamsError, nearest
from genept.core.params import Params

RESULTS = Path("bench/results")


@click.command()
@click.option("--cases", "names", multiple=True, metavar="NAME", help="Run this case only; may be repeated.")
@click.option("--cells", "n_cells", type=click.IntRange(min=1), help="Cells or texts of every case, not its default.")
@click.option("--repeats", type=click.IntRange(min=1), default=2, show_default=True, help="The fastest of them counts.")
@click.option("--threads", type=click.IntRange(min=1), help="Not those of params.yaml.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, show_default=True)
@cli.stage
def main(
    params: Params, names: tuple[str, ...], n_cells: int | None, repeats: int, threads: int | None, output: Path
) -> None:
    """Compare our embedding engines with the upstream way: same run, cells, weights and machine.

    Prints a table and writes benchmarks.csv and benchmarks.png. The exit code is 1 if a case's two sides give different
    answers, whatever their speed.

    \b
    Example: python -m bench --cases scgpt_ovarian --cells 8 --repeats 1
    """
    cli.prepare(params.model_copy(update={"threads": threads or params.threads}))

    import pandas as pd
    import torch

    from bench import bounds, results
    from bench.case import quiet
    from bench.cases import CASES, GPU_CASES

    on_gpu = torch.cuda.is_available()
    known = CASES | (GPU_CASES if on_gpu else {})
    for name in names:
        if name not in known:
            hint = nearest(name, known) or "."
            gpu = "" if on_gpu or name not in GPU_CASES else " (that one needs a GPU)"
            raise ParamsError(f"--cases: no case {name!r}{hint}{gpu} Known: {', '.join(known)}")
    chosen = {name: known[name] for name in names or known}
    given = {name: spec.read(n_cells or spec.n_cells) for name, spec in chosen.items()}  # before anything slow

    processor = f"{os.cpu_count()} processors ({torch.backends.cpu.get_cpu_capability()})"
    busy = f", load {os.getloadavg()[0]:.1f} before the run" if hasattr(os, "getloadavg") else ""
    click.echo(f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}{busy}")
    rates = bounds.rates()
    click.echo(f"float32 product {rates.product / 1e9:.0f} GFLOP/s, copy in memory {rates.copy / 1e9:.1f} GB/s")
    if on_gpu:
        rates = rates._replace(gpu_product=bounds.gpu_product("cuda"))
        click.echo(f"{torch.cuda.get_device_name()}: bfloat16 product {rates.gpu_product / 1e12:.0f} TFLOP/s")
    click.echo()
    rows: list[results.Row] = []
    progress = cli.progress(chosen.items(), "cases", len(chosen), unit="case")
    for name, spec in progress:
        progress.set_description(name)
        with tempfile.TemporaryDirectory() as folder:
            with quiet():
                case = spec.build(given[name], Path(folder), tuple(spec.targets))
            rows += results.measure(name, case, spec, repeats, rates)
    click.echo(results.table(rows))
    with files.replacing(output / "benchmarks.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False)
    with files.replacing(output / "benchmarks.png") as path:
        results.draw(rows, path)
    click.echo(f"\n{output / 'benchmarks.csv'}, {output / 'benchmarks.png'}")
    if not all(row.ratio for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="python -m bench")
