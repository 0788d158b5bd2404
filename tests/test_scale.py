"""The benchmark of cost against cells: its cells, what it measures, its picture; the stages themselves do not run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import psutil
import pytest
import scipy.sparse as sp
from click.testing import CliRunner

from bench import costs, scale, tiles
from genept.core import params as parameters
from genept.datasets import config as datasets
from tests import helpers

ROW = {
    "step": "label",
    "cells": 2000,
    "seconds": 3.1,
    "cpu_seconds": 4.0,
    "private": 3e8,
    "resident": 4e8,
    "written": 9,
}
ALLOCATE = "memory = bytearray(b'x') * 200_000_000; print(flush=True); input()"


def made_up(n_cells: int = 7, n_genes: int = 300) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    return anndata.AnnData(
        sp.csr_matrix(rng.poisson(0.5, size=(n_cells, n_genes)) * rng.integers(1, 200, size=(n_cells, n_genes))),
        obs=pd.DataFrame({"kind": [f"type {i % 3}" for i in range(n_cells)]}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"G{i}" for i in range(n_genes)]),
    )


def test_fewer_cells_are_the_first_of_more_and_no_count_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BLOCK", 4)
    source, tiled = made_up(), {}
    for n_cells in (3, 10, 25, 26):
        tiles.write(source, n_cells, tmp_path / "tiled.h5ad")
        tiled[n_cells] = anndata.read_h5ad(tmp_path / "tiled.h5ad")
    many = tiled.pop(26)
    assert isinstance(many.X, sp.csr_matrix) and many.X.dtype == np.float32 and (many.X.data > 0).all()
    for n_cells, few in tiled.items():
        assert few.n_obs == n_cells and (few.obs_names == many.obs_names[:n_cells]).all()
        assert (few.X != many.X[:n_cells]).nnz == 0 and (few.obs["kind"] == many.obs["kind"][:n_cells]).all()
    assert many.obs_names.is_unique and (many.var_names == source.var_names).all()
    origin = source[[name.rpartition("-")[0] for name in many.obs_names]]
    assert (origin.obs["kind"].astype(str).to_numpy() == many.obs["kind"].astype(str)).all()
    counts, before = many.X.toarray(), origin.X.toarray()
    assert (counts <= before).all() and len({row.tobytes() for row in counts}) == 26
    deviation = np.sqrt(before.sum() * tiles.KEPT * (1 - tiles.KEPT))
    assert abs(counts.sum() - tiles.KEPT * before.sum()) < 4 * deviation


def test_the_memory_of_a_process_is_that_of_all_its_descendants_and_none_of_ours() -> None:
    ours = bytearray(b"x") * 300_000_000
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ALLOCATE!r}])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stdout.readline()
        found = costs.memory(psutil.Process(process.pid))
        process.stdin.write(b"\n")
    assert 200e6 < found.private < len(ours)


def test_a_command_is_measured_and_killed_with_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "before").write_bytes(b"1234")
    ours = bytearray(b"x") * 300_000_000
    write = "from pathlib import Path; Path('made').write_bytes(b'x' * 1234); print('Error: no luck'); sys.exit(3)"
    cost, code = costs.measure(
        [sys.executable, "-c", f"import sys; {write}"], tmp_path, {}, tmp_path.with_suffix(".log")
    )
    assert (code, cost.written) == (3, 1234) and 0 < cost.private < len(ours) and 0 < cost.cpu_seconds
    assert scale.failure(code, tmp_path.with_suffix(".log")) == "no luck"

    started: list[psutil.Process] = []

    def stop(process: psutil.Process) -> costs.Memory:
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(costs, "memory", stop)
    with contextlib.suppress(KeyboardInterrupt):
        costs.measure([sys.executable, "-c", "while True: pass"], tmp_path, {}, tmp_path / "log")
    assert psutil.wait_procs(started, timeout=60)[0] == started


def test_a_failed_step_is_one_line_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(helpers.ROOT)
    params, project = parameters.load(), tmp_path / "project"
    steps = scale.ordered(["evaluate", "expression"], params)
    assert steps == ["label", "expression", "evaluate"]
    scale.lay_out(project, steps, params)
    fails = "import sys; sys.exit('Traceback\\nError: no such\\nfile')"
    monkeypatch.setattr(
        scale, "command", lambda step, params: [sys.executable, "-c", fails if step == "expression" else ""]
    )
    assert [row["step"] for row in scale.run(project, 10, steps, params)] == ["label", "evaluate"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("expression, 10 cells: failed after ") and line.endswith(": no such file")
    scale.write_params(project, scale.STEPS, params)
    monkeypatch.chdir(project)
    assert set(parameters.load().grid.models.names) == set(scale.STEPS) - {"label"}
    assert set(datasets.read("tiled").obs) == {"cell_type", "patient"}


def test_disk_grows_with_the_cells(tmp_path: Path) -> None:
    small: dict[int, list[str]] = {10**6: []}
    large: dict[int, list[str]] = {10**7: []}
    one, two, both = (scale.disk(made_up(), tmp_path, plan, True) for plan in (small, large, small | large))
    assert one < two < both < two + one and not list(tmp_path.iterdir())
    assert scale.disk(made_up(), tmp_path, small | large, False) == two


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [("--steps", "labl", "no step 'labl'; did you mean 'label'?"), ("--cells", "1e3", "whole numbers above 0")],
)
def test_wrong_options_are_one_line(option: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)
    monkeypatch.setattr("genept.core.cli.prepare", lambda params: None)
    result = CliRunner().invoke(scale.main, [option, value])
    assert result.exit_code == 2 and text in result.output


def test_the_last_measurement_of_a_step_counts_and_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "new/scale.csv"
    for change in ({}, {"cells": 10**6, "written": 5 * 10**8}, {"seconds": 5.0}, {"step": "genept_w_minilm"}):
        costs.append(ROW | change, path)
    table = costs.read(path)
    assert table[["step", "cells", "seconds"]].to_numpy().tolist() == [
        ["genept_w_minilm", 2000, 3.1],
        ["label", 2000, 5.0],
        ["label", 10**6, 3.1],
    ]
    assert costs.written_per_cell(path, "label", 7) == 500 and costs.written_per_cell(path, "plot", 7) == 7
    lines = costs.text([ROW, ROW | {"cells": 10**6, "written": 3 * 10**10, "private": 2 * 10**10}]).splitlines()
    assert max(map(len, lines)) <= 80 and "2.00" in lines[2]
    for name in "ab":
        costs.draw(table, ["label", "genept_w_minilm"], tmp_path / f"{name}.svg")
    drawn = (tmp_path / "a.svg").read_bytes()
    assert b"<svg" in drawn and drawn == (tmp_path / "b.svg").read_bytes()
