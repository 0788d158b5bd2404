"""A remote, S3 or a shared folder: push, pull, what is killed, wrong, gone or damaged; with the project's settings."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from dvc.cli import main as dvc
from s3fs import S3FileSystem

from bench import pushes
from stages import verify


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "bucket").mkdir()
    return folder


@pytest.fixture(scope="module")
def server(buckets: Path) -> Iterator[str]:
    with pushes.server(buckets) as address:
        yield address


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pushes.make_project(tmp_path_factory.mktemp("remote") / "project", n_files=6, size=1000)


@pytest.fixture(params=["s3", "folder"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(kind: str, buckets: Path, tmp_path: Path) -> Path:
    """The folder of the remote's objects; of S3 one in the bucket for each test."""
    return buckets / "bucket" / tmp_path.name if kind == "s3" else tmp_path / "store"


@pytest.fixture
def project(
    finished: Path, kind: str, store: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of the project with a remote, as the working folder; only the keys and the project's settings of S3."""
    folder = shutil.copytree(finished, tmp_path / "project")
    if kind == "s3":
        pushes.add_remote(folder, f"s3://bucket/{store.name}", server)
    else:
        pushes.add_remote(folder, os.fspath(store))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in pushes.environment().items():
        monkeypatch.setenv(name, value)
    site.addsitedir(os.fspath(pushes.ROOT / ".dvc"))
    S3FileSystem.clear_instance_cache()  # it keeps keys and addresses
    monkeypatch.chdir(folder)
    return folder


def clone(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clone the project and go there; the remote is named as in the first."""
    fresh = project.parent / "fresh"
    pushes.run("git", "clone", "-q", os.fspath(project), os.fspath(fresh), cwd=project)
    shutil.copy(project / ".dvc/config.local", fresh / ".dvc/config.local")
    monkeypatch.chdir(fresh)
    return fresh


def check(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(verify.main, ["--remote", "shared", *arguments])
    assert result.exit_code == exit_code, result.output
    assert max(map(len, result.output.splitlines())) <= 300 and not isinstance(result.exception, ValueError)
    return result.output


def stored(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file())


def test_a_fresh_clone_pulls_and_runs_nothing(
    project: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "remote shared: 8 objects hashed; 8 missing" in check(exit_code=1)
    assert dvc(["push", "-q"]) == 0
    fresh = clone(project, monkeypatch)
    assert dvc(["pull", "-q"]) == 0
    assert dvc(["status"]) == 0 and "up to date" in capsys.readouterr().out
    assert dvc(["repro"]) == 0 and "Running" not in capsys.readouterr().out
    assert (fresh / "out/1").read_bytes() == (project / "out/1").read_bytes()
    assert "remote shared: 8 objects hashed; all as recorded" in check()


def test_a_damaged_object_is_named_and_not_pulled(project: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dvc(["push", "-q"]) == 0
    largest = max(stored(store), key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(b"0" * 1000)  # of the same size
    text = check("out", exit_code=1)
    assert "remote shared: 7 objects hashed; 1 changed" in text and largest.name in "".join(text.split())
    fresh = clone(project, monkeypatch)
    assert dvc(["pull", "-q"]) != 0
    assert not any(path.read_bytes() == b"0" * 1000 for path in fresh.glob("out/*"))


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_a_killed_push_is_completed_by_the_next(project: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed as soon as it reads a certain object, which is a pipe for that time."""
    held = max((project / ".dvc/cache").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = held.read_bytes()
    held.unlink()
    os.mkfifo(held)
    words = [*pushes.DVC, os.fspath(pushes.ROOT / ".dvc"), "push", "-q"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as push, held.open("wb"):  # waits for the reader
        push.kill()
    held.unlink()
    held.write_bytes(content)
    assert "missing" in check(exit_code=1)
    assert dvc(["push", "-q"]) == 0
    clone(project, monkeypatch)
    assert dvc(["pull", "-q"]) == 0
    check()


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "WRONG"}, "remote shared: cannot be read (PermissionError"),
        ({"endpoint": "http://127.0.0.1:9"}, "remote shared: cannot be read (EndpointConnectionError"),
    ],
)
def test_a_remote_that_cannot_be_read_is_one_line(
    project: Path, store: Path, server: str, change: dict[str, str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    pushes.add_remote(project, f"s3://bucket/{store.name}", change.get("endpoint", server))
    assert dvc(["push", "-q"]) != 0
    assert stored(store) == []
    output = check(exit_code=1)
    assert text in output and output.count("\n") == 1


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_files_above_50_mb_need_no_setting_of_the_user(
    project: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (project / "big").open("wb") as stream:
        stream.truncate(60_000_000)
    assert dvc(["add", "-q", "big"]) == 0
    assert dvc(["push", "-q", "big"]) == 0
    (project / "big").unlink()
    shutil.rmtree(project / ".dvc/cache")
    assert dvc(["pull", "-q", "big"]) == 0
    assert (project / "big").stat().st_size == 60_000_000


@pytest.mark.parametrize("kind", ["folder"], indirect=True)
def test_an_experiment_in_another_folder_reads_local_files_and_its_results_are_pushed(project: Path) -> None:
    """One from the queue does, too: `python -m bench.pushes`, since the queue takes seconds."""
    assert dvc(["exp", "run", "-q", "--temp", "-S", "seed=1", "--name", "beside"]) == 0
    before = (project / "out/1").read_bytes()
    assert dvc(["exp", "apply", "-q", "beside"]) == 0
    assert dvc(["push", "-q"]) == 0
    assert "remote shared: 8 objects hashed; all as recorded" in check()
    assert (project / "out/1").read_bytes() != before


def test_an_unknown_remote_is_one_line(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    assert check(exit_code=1).count("\n") == 1
