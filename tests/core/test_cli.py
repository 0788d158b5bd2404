"""What every command line shares: threads, devices, names, one-line errors, exit codes, help."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result

from genept.core import cli, compute
from genept.core.errors import InputError, ParamsError
from genept.core.params import Params
from tests import helpers

STAGES = sorted(path.stem for path in (helpers.ROOT / "stages").glob("[!_]*.py"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*cli.THREAD_VARIABLES, *cli.OFFLINE):
        monkeypatch.setenv(name, "")
    helpers.write_settings(tmp_path, {"threads": 3}, models={"expression": {}, "scgpt_mini": {}})
    return tmp_path


def run(body: Any, *arguments: str) -> Result:
    @click.command()
    @click.argument("model", type=cli.MODEL, default="expression")
    @cli.stage
    def main(params: Params, model: str) -> None:
        body(params)

    return CliRunner().invoke(main, arguments)


def raiser(error: Exception) -> Any:
    def fail(params: Params) -> None:
        raise error

    return fail


def test_a_stage_gets_the_parameters_pinned_threads_and_an_offline_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "numba", raising=False)  # as in a stage's process
    seen: dict[str, str] = {}

    def body(params: Params) -> None:
        assert isinstance(params, Params) and params.threads == 3
        seen.update(os.environ)

    assert run(body).exit_code == 0
    assert {seen[name] for name in cli.THREAD_VARIABLES} == {"3"}
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_a_numba_that_runs_already_keeps_its_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", sys)
    seen: dict[str, str] = {}
    assert run(lambda _: seen.update(os.environ)).exit_code == 0
    assert (seen[cli.NUMBA], seen["OMP_NUM_THREADS"]) == ("", "3")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), 1, "data/x: the disk is full"),
        (FileNotFoundError(errno.ENOENT, "No such file", "data/x"), 1, "run the stage that makes it first"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), 1, "data/x: Permission denied"),
        (MemoryError(), 1, "out of memory; close other programs, or take fewer cells or a machine with more memory"),
        (InputError("cells: 3 empty"), 1, "cells: 3 empty"),
        (ParamsError("seed: no"), 2, "seed: no"),
    ],
)
def test_known_failures_are_one_line(folder: Path, error: Exception, code: int, text: str) -> None:
    result = run(raiser(error))
    assert result.exit_code == code and text in result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "content", "arguments", "text"),
    [
        ("params.yaml", "a: [1", (), "params.yaml: not readable as YAML"),
        ("params.yaml", "a: 1\na: 2", (), "params.yaml: not readable as YAML"),
        ("params.yaml", "- 1\n- 2\n", (), "params.yaml: expected a mapping"),
        ("params.yaml", "thread: 2\n", (), "params.yaml: no setting 'thread'; did you mean 'threads'?"),
        ("params.yaml", None, (), "params.yaml: no such file; run from the top folder"),
        (None, None, ("scgpt-mini",), "models: 'scgpt-mini' cannot be a name; begin with a letter"),
        (None, None, ("scgpt_mni",), "models/scgpt_mni.yaml: no such file; did you mean 'scgpt_mini'?"),
        (None, None, ("else",), "models/else.yaml: no such file; run from the top folder"),
    ],
)
def test_settings_and_names_that_are_wrong_are_one_line(
    folder: Path, file: str | None, content: str | None, arguments: tuple[str, ...], text: str
) -> None:
    if file and content:
        Path(file).write_text(content)
    elif file:
        Path(file).unlink()
    result = run(lambda _: pytest.fail("ran"), *arguments)
    assert result.exit_code == 2 and text in result.output, result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1


@pytest.mark.parametrize("name", STAGES)
def test_every_command_explains_itself(name: str) -> None:
    result = helpers.run("python", "-m", f"stages.{name}", "--help", cwd=helpers.ROOT)
    assert f"Usage: python -m stages.{name}" in result.stdout
    assert len(result.stdout) > 250, "help that a biologist understands takes more than a line"


def test_the_device_is_resolved_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (compute.resolve_device("auto"), compute.resolve_device("cuda")) == ("cuda", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute.resolve_device("auto") == "cpu"
    with pytest.raises(ParamsError, match="torch sees no GPU"):
        compute.resolve_device("cuda")


def test_every_gpu_gets_a_worker_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute.workers("cpu") == ["cpu"]
    assert compute.describe_devices(["cpu"]) == "cpu"
    names = ["H200", "H200", "T4"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: names[int(name.removeprefix("cuda:"))])
    assert compute.workers("auto") == ["cuda:0", "cuda:1", "cuda:2"]
    assert compute.describe_devices(compute.workers("auto")) == "2 x H200, 1 x T4"


def test_a_bar_counts_what_it_says_until_all_is_done_and_bytes_in_large_units(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = cli.progress(iter("abc"), "layouts", 3, unit="layout")
    assert list(bar) == ["a", "b", "c"] and bar.n == bar.total == 3
    with cli.progress_bar("raw.h5ad", 2_000_000, "B") as bar:
        bar.update(1_000_000)
        assert "1.00M/2.00M" in str(bar)
    err = capsys.readouterr().err
    assert "layouts:" in err and "raw.h5ad:" in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert list(cli.progress("ab", "cells", unit="cell")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_what_a_stage_did_fits_100_columns_and_no_path_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    path = "metrics/full/a-dataset-with-hyphens/" + "x" * 90
    cli.say(f"{'word ' * 30}{path} end")
    lines = capsys.readouterr().out.splitlines()
    assert f"  {path}" in lines and all(len(line) <= 100 for line in lines if path not in line) and len(lines) > 2
