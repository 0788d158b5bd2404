"""What every command line shares: threads, one-line errors, exit codes, help."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from genept.core import cli, params
from genept.core.errors import InputError, ParamsError
from tests import helpers

STAGES = (
    "fetch",
    "reanalyse",
    "label",
    "vectors",
    "pretrain",
    "embed",
    "finetune",
    "evaluate",
    "figures",
    "report",
    "export",
    "trace",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*cli.THREAD_VARIABLES, *cli.OFFLINE):
        monkeypatch.setenv(name, "")
    (tmp_path / "params.yaml").write_text("threads: 3\nmodels: {expression: {}, scgpt_mini: {a: 1}}\n")
    return tmp_path


def command(body: Any) -> click.Command:
    @click.command()
    @cli.stage
    def main(params: dict[str, Any]) -> None:
        body(params)

    return main


def test_threads_are_pinned_and_hubs_offline_before_the_stage_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "numba", raising=False)  # as in a stage's process
    seen: dict[str, str] = {}
    CliRunner().invoke(command(lambda _: seen.update(os.environ)), catch_exceptions=False)
    assert {seen[name] for name in cli.THREAD_VARIABLES} == {"3"}
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_a_numba_that_runs_already_keeps_its_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", sys)
    seen: dict[str, str] = {}
    CliRunner().invoke(command(lambda _: seen.update(os.environ)), catch_exceptions=False)
    assert (seen[cli.NUMBA], seen["OMP_NUM_THREADS"]) == ("", "3")


@pytest.mark.parametrize("threads", [0, -1, "two", 1.5])
def test_a_thread_count_that_makes_no_sense_is_said(folder: Path, threads: object) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump({"threads": threads}))
    result = CliRunner().invoke(command(lambda _: None))
    assert result.exit_code == 1
    assert "threads must be a whole number" in result.output


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), "data/x: the disk is full"),
        (FileNotFoundError(errno.ENOENT, "No such file", "data/x"), "run the stage that makes it first"),
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), "data/x: Permission denied"),
        (MemoryError(), "out of memory"),
        (InputError("cells: 3 empty"), "cells: 3 empty"),
    ],
)
def test_known_failures_are_one_line(folder: Path, error: Exception, text: str) -> None:
    def fail(_: object) -> None:
        raise error

    result = CliRunner().invoke(command(fail))
    assert result.exit_code == 1
    assert text in result.output
    assert result.output.count("\n") == 1


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(folder: Path) -> None:
    with pytest.raises(ParamsError, match=r"did you mean 'scgpt_mini'\? Known: expression, scgpt_mini") as caught:
        params.entry(params.load(), "models", "scgpt-mini")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", ["a: [1", "- 1\n- 2\n"])
def test_unreadable_parameters_are_one_line(folder: Path, content: str) -> None:
    (folder / "params.yaml").write_text(content)
    result = CliRunner().invoke(command(lambda _: None))
    assert result.exit_code == 2
    assert result.output.count("\n") == 1


def test_outside_the_repository_the_stage_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command(lambda _: None))
    assert "run from the top folder" in result.output


@pytest.mark.parametrize("name", STAGES)
def test_every_command_explains_itself(name: str) -> None:
    result = helpers.run("python", "-m", f"stages.{name}", "--help", cwd=helpers.ROOT)
    assert f"Usage: python -m stages.{name}" in result.stdout
    assert len(result.stdout) > 250, "help that a biologist understands takes more than a line"
