"""What DVC prints of the default grid fits a screen: the committed scores in the committed pipeline."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from genept.annotation.results import AGREEMENT
from genept.core.cli import LINE
from stages.trace import main as trace
from tests import helpers


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed files and the scores that git ignores, of an annotation: nothing runs."""
    folder = helpers.clone(tmp_path_factory.mktemp("screen"))
    agreement = folder / "metrics/annotation/ovarian/agreement.json"
    agreement.parent.mkdir(parents=True)
    agreement.write_text(json.dumps(dict.fromkeys(AGREEMENT, 0.123)))
    (folder / "dvc.lock").unlink()  # it names outputs of a run
    helpers.run("git", "add", "--all", cwd=folder)
    helpers.run("git", "commit", "--quiet", "-m", "One", cwd=folder)
    helpers.run("git", "tag", "one", cwd=folder)
    return folder


@pytest.fixture
def shown(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """What a command of DVC prints at the first commit, its width checked; DVC is loaded once for all of them."""
    from dvc.cli import main

    helpers.run("git", "reset", "--quiet", "--hard", "one", cwd=repository)
    monkeypatch.chdir(repository)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")

    def show(command: str) -> str:
        assert main(shlex.split(command)[1:]) == 0
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= LINE, text
        return text

    return show


def test_all_scores_and_stages_fit_a_screen(repository: Path, shown: Callable[[str], str]) -> None:
    text = shown("dvc metrics show")
    models = [path.relative_to(repository).as_posix() for path in (repository / "metrics/scores").glob("*/*.json")]
    assert {*models, "metrics/annotation/ovarian/agreement.json"} <= set(text.split()) and len(models) > 20
    assert "evaluate@covid" in shown("dvc stage list --name-only").split()


def test_the_chain_behind_a_number_fits_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)
    lines = CliRunner().invoke(trace, ["metrics/scores/covid/scgpt_mini.json"]).output.splitlines()
    assert len(lines) > 100 and max(map(len, lines)) <= LINE


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("dvc metrics show", "README.md"),
        ("dvc metrics diff", "README.md"),
        ("python -m stages.trace metrics/scores/covid/scgpt_mini.json", "README.md"),
        ("dvc stage list --name-only", "docs/running.md"),
        ("dvc metrics diff main seed-1", "docs/running.md"),
    ],
)
def test_what_is_measured_here_is_what_the_pages_say_to_run(command: str, page: str) -> None:
    assert re.search(rf"(`|^){re.escape(command)}(`|$)", (helpers.ROOT / page).read_text(encoding="utf-8"), re.M)


def test_experiments_by_the_recipe_and_differences_fit_a_screen(repository: Path, shown: Callable[[str], str]) -> None:
    """An experiment is saved, not run: of all outputs only metrics are there."""
    path = repository / "dvc.yaml"
    path.write_text(yaml.safe_dump({"metrics": ["metrics/scores"], "params": ["params.yaml"]}), encoding="utf-8")
    helpers.run("git", "commit", "--all", "--quiet", "-m", "Two", cwd=repository)
    for name, old, new in (
        ("params.yaml", "seed: 0 ", "seed: 1 "),
        *((f"metrics/scores/ovarian/{model}.json", "0.", "-0.") for model in ("genept_w_minilm", "shuffled_ft_minilm")),
    ):
        file = repository / name
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    shown("dvc exp save --name seed-1")
    (recipe,) = re.findall("^dvc exp show .*$", (helpers.ROOT / "docs/running.md").read_text(encoding="utf-8"), re.M)
    text = shown(recipe)
    assert all(word in text for word in ("[seed-1]", ":ari", "seed"))
    assert "shuffled_ft_minilm" in shown("dvc metrics diff HEAD seed-1")
