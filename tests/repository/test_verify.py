"""What `verify` and `trace` say of a pipeline that DVC has run, whole and tampered with; `dvc.lock` that is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from genept.core.errors import InputError
from genept.repository import lock, tracked
from stages import evaluate, trace, verify
from tests.helpers import ROOT, run, write_settings

STAGES = {  # name: (input, files in its outputs)
    "label": ("raw.txt", {"data/a/labelled/cells.h5ad": ""}),
    "embed-one": ("data/a/labelled/cells.h5ad", {"data/a/embeddings/one.npy": ""}),
    "embed-two": ("data/a/labelled/cells.h5ad", {"data/a/embeddings/two.npy": ""}),
    "evaluate": ("data/a/embeddings", {"metrics/full/a": "one.csv", "metrics/scores/a": "one.csv"}),
    "report": ("metrics/scores", {"metrics/table2.md": ""}),
}
EMBEDDING = Path("data/a/embeddings/one.npy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that DVC itself has run, so that the lock file and its hashes are DVC's."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (folder / ".dvcignore").write_text(".writing-*\n")
    write_settings(folder, {"seed": 3})
    for name, text in (("raw.txt", "cells"), ("one.yaml", "embed: {width: 64}\n")):
        (folder / name).write_text(text)
    stages = {}
    for name, (dep, outs) in STAGES.items():
        files = [Path(out, inside) for out, inside in outs.items()]
        command = "; ".join(f"mkdir -p {file.parent} && echo '{name}' > {file}" for file in files)
        params = [{"one.yaml": ["embed"]}] if name == "embed-one" else ["seed"]
        stages[name] = {"cmd": command, "deps": [dep], "outs": list(outs), "params": params}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    run("dvc", "repro", "-q", cwd=folder)
    return folder


@pytest.fixture(autouse=True)
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "project"))


def traced(path: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(trace.main, [path])
    assert result.exit_code == exit_code, result.output
    return result.output


def verified(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(verify.main, arguments)
    assert result.exit_code == exit_code, result.output
    assert max(map(len, result.output.splitlines())) <= 80 and result.output.count("\n") < 40
    return result.output


def cached(path: Path) -> Path:
    """Return the object of a file in DVC's cache."""
    md5 = tracked.hash_all([str(path)], "")[str(path)]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def tamper(path: Path) -> None:
    """Change a file, and leave its size and times as they are."""
    before, content = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Put a pipe in the place of a file."""
    path.unlink()
    os.mkfifo(path)


def test_a_score_in_a_folder_is_followed_to_its_own_models_embedding() -> None:
    text = traced("./metrics/scores/a/one.csv")
    stages = [line.split(":")[0].strip() for line in text.splitlines() if line.strip().startswith("by ")]
    assert stages == ["by evaluate", "by embed-one", "by label"]
    for words in ("seed: 3", "one.yaml: embed.width: 64", "from data/a/embeddings  md5 ", "from raw.txt  md5 "):
        assert words in text
    assert "CHANGED" not in text and "NOT HERE" not in text  # so hashes of files and folders are DVC's


def test_a_table_is_followed_to_every_model_and_what_changed_behind_it_is_marked() -> None:
    text = traced("metrics/table2.md")
    assert all(f"by {stage}: " in text for stage in STAGES)
    assert text.count("by label: ") == 1 and "by label (see above)" in text
    Path("data/a/embeddings/two.npy").unlink()
    text = " ".join(traced("metrics/table2.md", exit_code=1).split())
    assert text.count("CHANGED since") == text.count("NOT HERE") == 1
    assert "Error: 2 files behind it are not as dvc.lock records" in text


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (lambda: None, "raw.txt", "raw.txt: no stage in dvc.lock writes this"),
        (lambda: None, "metrics/x.csv", "metrics/x.csv: no stage in dvc.lock writes this"),
        (lambda: None, "metrics/scores/a/two.csv", "two.csv: no such file; `dvc checkout`"),
        (lambda: tamper(EMBEDDING), str(EMBEDDING), f"{EMBEDDING} is changed; `make verify`"),
        (lambda: tamper(Path("metrics/scores/a/one.csv")), "metrics/scores/a/one.csv", "a/one.csv is changed"),
        (lambda: Path("metrics/full/a/two.csv").touch(), "metrics/full/a/two.csv", "two.csv is unknown"),
        (lambda: replace(EMBEDDING), str(EMBEDDING), "is changed"),
        (lambda: Path("dvc.lock").unlink(), "metrics/table2.md", "dvc.lock: no such file; run `dvc repro` first"),
    ],
)
def test_trace_refuses_in_one_line_what_is_not_as_recorded(change: Callable[[], None], path: str, text: str) -> None:
    change()
    output = traced(path, exit_code=1)
    assert text in output and output.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "paths", "lines"),
    [
        (lambda: tamper(EMBEDDING), [], ["files: 7 files hashed; 1 changed", f"changed  {EMBEDDING} by embed-one"]),
        (lambda: EMBEDDING.unlink(), [], ["1 missing", f"missing  {EMBEDDING} by embed-one"]),
        (lambda: replace(EMBEDDING), [], ["1 changed", f"changed  {EMBEDDING} by embed-one"]),
        (lambda: Path("raw.txt").write_text("x"), [], ["changed  raw.txt read by label", "Inputs: "]),
        (lambda: Path("metrics/full/a/x.csv").touch(), [], ["unknown  metrics/full/a/x.csv", "Unknown: "]),
        (lambda: Path("data/a/embeddings/x.npy").touch(), [], ["1 unknown", "unknown  data/a/embeddings/x.npy"]),
        (lambda: Path("metrics/full/a/one.csv").unlink(), ["metrics"], ["missing  metrics/full/a/one.csv by evaluate"]),
        (lambda: tamper(cached(EMBEDDING)), [], ["cache: 6 objects hashed; 1 changed", str(EMBEDDING), "Cache, "]),
        (lambda: shutil.rmtree(".dvc/cache"), [], ["cache: 6 objects hashed; 6 missing", "files: 7 files hashed; all"]),
        (lambda: tamper(EMBEDDING), ["metrics/full"], []),
        (lambda: Path("data/a/.writing-x").touch(), [], []),
    ],
)
def test_verify_names_what_is_not_as_recorded(change: Callable[[], None], paths: list[str], lines: list[str]) -> None:
    change()
    output = verified(*paths, exit_code=1 if lines else 0)
    assert all(line in output for line in lines), output
    assert lines or output.count("all as recorded") == 2


def test_verify_needs_paths_and_remotes_that_exist() -> None:
    assert "no stage of the grid reads or writes it" in verified("nothing", exit_code=2)
    assert "gone" in verified("--remote", "gone", exit_code=1)


def test_many_problems_are_counted_and_a_few_named() -> None:
    for number in range(30):
        Path(f"metrics/full/a/{number:0100}.csv").touch()
    output = verified("metrics", exit_code=1)
    assert "30 unknown" in output and "and 20 more" in output


@pytest.mark.parametrize(
    ("arguments", "by_dvc", "refuses"), [(["--check"], False, True), (["covid"], True, True), (["covid"], False, False)]
)
def test_a_tampered_embedding_is_not_scored(
    arguments: list[str], by_dvc: bool, refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand it is: what is tried need not be in the lock."""
    text = lock.LOCK.read_text().replace("data/a/", "data/covid/")
    lock.LOCK.write_text(text.replace("evaluate:", "evaluate@covid:"))
    Path("data/a").rename("data/covid")
    shutil.copy(ROOT / "data/covid.yaml", "data/covid.yaml")
    if by_dvc:
        monkeypatch.setenv("DVC_STAGE", "evaluate@covid")
    assert "not as dvc.lock" not in CliRunner().invoke(evaluate.main, arguments).output
    tamper(Path("data/covid/embeddings/one.npy"))
    output = CliRunner().invoke(evaluate.main, arguments).output
    assert output.count("\n") == 1
    assert ("not as dvc.lock records: data/covid/embeddings/one.npy is changed;" in output) == refuses


STAGE = {"cmd": "true", "deps": [{"path": "a", "md5": 32 * "0"}], "outs": [{"path": "b", "md5": 32 * "0"}]}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a: [", "not readable as YAML"),
        ("- stages", "expected a mapping"),
        ("schema: '2.0'", "should be a valid dictionary, got None"),
        ({"stages": []}, "should be a valid dictionary, got []"),
        ({"stages": {"one": {}}}, "one.cmd is missing"),
        ({"stages": {"one": STAGE | {"deps": "a"}}}, "one.deps: should be a valid list, got 'a'"),
        ({"stages": {"one": STAGE | {"outs": [{"path": "b"}]}}}, "one.outs.0.md5 is missing"),
        ({"stages": {"one": STAGE | {"outs": [{"path": "b", "md5": 7}]}}}, "one.outs.0.md5: put quotes around 7"),
        ({"stages": {"one": STAGE | {"params": ["seed"]}}}, "one.params: should be a valid dictionary"),
        ({"stages": {"one": STAGE | {"outs": [{"path": "../../etc", "md5": "0.dir"}]}}}, "one: ../../etc is outside"),
        ({"stages": {"one": STAGE | {"outs": [{"path": "/etc", "md5": "0.dir"}]}}}, "one: /etc is outside"),
        ({"stages": {"one": STAGE | {"deps": STAGE["outs"]}}}, "stages need each other: one <- one"),
        (
            {"stages": {"one": STAGE, "two": STAGE | {"deps": STAGE["outs"], "outs": STAGE["deps"]}}},
            "stages need each other: ",
        ),
    ],
)
def test_a_lock_that_is_none_is_one_line(content: object, text: str) -> None:
    lock.LOCK.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(InputError) as error:
        lock.read()
    assert text in error.value.message and "\n" not in error.value.message
    assert error.value.message.startswith("dvc.lock: ") and error.value.message.endswith("`git checkout dvc.lock`")
