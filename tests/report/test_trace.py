"""Where a file comes from, by the `dvc.lock` of a pipeline with folders as outputs and as inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from stages.trace import main
from tests.helpers import run

STAGES = {
    "label@a": ("raw.txt", ["data/a/cells.h5ad"]),
    "embed@a-one": ("data/a/cells.h5ad", ["data/a/embeddings/one.npy"]),
    "embed@a-two": ("data/a/cells.h5ad", ["data/a/embeddings/two.npy"]),
    "evaluate@a": ("data/a/embeddings", ["metrics/full/a", "metrics/scores/a"]),
    "report": ("metrics/scores", ["metrics/table2.md"]),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that DVC itself has run, so that the lock file and its hashes are DVC's."""
    folder = tmp_path_factory.mktemp("trace")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    (folder / "raw.txt").write_text("cells")
    (folder / "params.yaml").write_text("seed: 3\n")
    (folder / "one.yaml").write_text("embed: {width: 64}\n")
    stages = {}
    for name, (dep, outs) in STAGES.items():
        files = [f"{out}/one.csv" if "/a" in out[-2:] else out for out in outs]
        command = "; ".join(f"mkdir -p $(dirname {file}) && echo '{name}' > {file}" for file in files)
        params = [{"one.yaml": ["embed"]}] if name == "embed@a-one" else ["seed"]
        stages[name.replace("@", "-at-")] = {"cmd": command, "deps": [dep], "outs": outs, "params": params}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    run("dvc", "repro", "-q", cwd=folder)
    return folder


def trace(folder: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, [path])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_score_in_a_folder_is_followed_to_its_own_models_embedding(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = trace(finished, "metrics/scores/a/one.csv", monkeypatch).splitlines()
    stages = [line.split(":")[0].strip() for line in lines if line.strip().startswith("by ")]
    assert stages == ["by evaluate-at-a", "by embed-at-a-one", "by label-at-a"]
    text = "\n".join(lines)
    for words in ("seed: 3", "one.yaml: embed.width: 64", "from data/a/embeddings  md5 ", "from raw.txt  md5 "):
        assert words in text
    assert "CHANGED" not in text and "NOT HERE" not in text  # so hashes of files and folders are DVC's


def test_a_table_is_followed_to_every_model(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = trace(finished, "metrics/table2.md", monkeypatch)
    for stage in ("report", "evaluate-at-a", "embed-at-a-one", "embed-at-a-two"):
        assert f"by {stage}: " in text
    assert text.count("by label-at-a: ") == 1 and "by label-at-a (see above)" in text


def test_what_changed_since_the_run_is_marked(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, embedding = finished / "metrics/table2.md", finished / "data/a/embeddings/two.npy"
    before = table.read_text(), embedding.read_text()
    try:
        table.write_text("edited")
        embedding.unlink()
        marked = [
            line for line in trace(finished, "metrics/table2.md", monkeypatch).splitlines() if "   CHANGED" in line
        ]
    finally:
        table.write_text(before[0])
        embedding.write_text(before[1])
    assert [line.split()[:2] for line in marked] == [["wrote", "metrics/table2.md"], ["from", "data/a/embeddings"]]


def test_a_file_that_no_stage_writes_is_one_line(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    for path, words in (("raw.txt", "raw.txt: no stage in dvc.lock writes this"), ("metrics/x.csv", "no stage in")):
        result = CliRunner().invoke(main, [path])
        assert (result.exit_code, result.output.count("\n")) == (1, 1) and words in result.output
    monkeypatch.chdir(finished / "data")
    assert "run `dvc repro` first" in CliRunner().invoke(main, ["x"]).output
