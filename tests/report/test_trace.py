"""Where a file comes from, by the `dvc.lock` of a pipeline with folders as outputs and as inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from stages.trace import main
from tests.helpers import run

STAGES = {  # name: (input, files in its outputs)
    "label": ("raw.txt", {"data/a/cells.h5ad": ""}),
    "embed-one": ("data/a/cells.h5ad", {"data/a/embeddings/one.npy": ""}),
    "embed-two": ("data/a/cells.h5ad", {"data/a/embeddings/two.npy": ""}),
    "evaluate": ("data/a/embeddings", {"metrics/full/a": "one.csv", "metrics/scores/a": "one.csv"}),
    "report": ("metrics/scores", {"metrics/table2.md": ""}),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that DVC itself has run, so that the lock file and its hashes are DVC's."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    for name, text in (("raw.txt", "cells"), ("params.yaml", "seed: 3\n"), ("one.yaml", "embed: {width: 64}\n")):
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
def folder(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)


def trace(path: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, [path])
    assert result.exit_code == exit_code, result.output
    return result.output


def test_a_score_in_a_folder_is_followed_to_its_own_models_embedding() -> None:
    text = trace("metrics/scores/a/one.csv")
    stages = [line.split(":")[0].strip() for line in text.splitlines() if line.strip().startswith("by ")]
    assert stages == ["by evaluate", "by embed-one", "by label"]
    for words in ("seed: 3", "one.yaml: embed.width: 64", "from data/a/embeddings  md5 ", "from raw.txt  md5 "):
        assert words in text
    assert "CHANGED" not in text and "NOT HERE" not in text  # so hashes of files and folders are DVC's


def test_a_table_is_followed_to_every_model_and_what_changed_since_is_marked() -> None:
    text = trace("metrics/table2.md")
    assert all(f"by {stage}: " in text for stage in STAGES)
    assert text.count("by label: ") == 1 and "by label (see above)" in text
    table, embedding = Path("metrics/table2.md"), Path("data/a/embeddings/two.npy")
    before = table.read_text(), embedding.read_text()
    try:
        table.write_text("edited")
        embedding.unlink()
        marked = [line.split()[:2] for line in trace("metrics/table2.md").splitlines() if "   CHANGED" in line]
    finally:
        table.write_text(before[0])
        embedding.write_text(before[1])
    assert marked == [["wrote", "metrics/table2.md"], ["from", "data/a/embeddings"]]


def test_a_file_that_no_stage_writes_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("raw.txt", "metrics/x.csv"):
        output = trace(path, exit_code=1)
        assert f"{path}: no stage in dvc.lock writes this" in output and output.count("\n") == 1
    monkeypatch.chdir("data")
    assert "run `dvc repro` first" in trace("x", exit_code=1)
