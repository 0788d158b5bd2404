"""Titles and captions follow the parameters: after a change no text has the old value, and some text has the new."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT, write_settings
from tests.report.made import texts, write_project

TABLES = ("table_c4", "section_4_4", "table2", "summary", "text_effect", "paper_tracking")
C4, S44, T2, SUM, TEXT, PAGE = ({name} for name in TABLES)
CLUSTERED = T2 | S44 | SUM | PAGE
DIVIDED = C4 | S44 | PAGE
CASES: list[tuple[str, Any, str, str, set[str]]] = [
    ("seed", 3, r"seed 7", "seed 3", CLUSTERED | C4),
    ("baseline", "text_w", r"learns from `expression`", "learns from `text_w`", C4),
    ("evaluate.seed", 3, r"seed 7", "seed 3", CLUSTERED | C4),
    ("evaluate.repeats", 1, r"mean over|\b20 (runs|seeds|random)", "one run", C4 | S44 | T2),
    ("evaluate.repeats", 7, r"\b20 (runs|seeds|random)", "7 seeds", CLUSTERED),
    ("evaluate.repeats", 7, r"\b20 (runs|seeds|random)", "7 random splits", T2 | TEXT),
    ("evaluate.metric", "euclidean", r"(?<!centred )cosine distance", "euclidean distance", C4 | T2 | SUM | PAGE),
    ("evaluate.metric", "centred_cosine", r"(?<!centred )cosine distance", "centred cosine distance (the", C4 | PAGE),
    ("evaluate.asw", "euclidean", r"(labels, |houettes )by cosine", "by euclidean distance", T2 | PAGE),
    ("evaluate.kmeans.algorithm", "full", r"batches of", "full k-means (n_init 3)", CLUSTERED),
    ("evaluate.kmeans.batch_size", 50, r"batches of 20", "batches of 50", CLUSTERED),
    ("evaluate.kmeans.n_init", 1, r"n_init 3", "n_init 1", CLUSTERED),
    ("evaluate.kmeans.pca_for_patient", None, r"at most 50", "the whole embedding", S44),
    ("evaluate.split.test_size", 0.25, r"20 %", "25 % of the cells", DIVIDED),
    ("evaluate.split.stratified", True, r"at random, are", "each label in the same proportion", DIVIDED),
    (
        "evaluate.split.groups",
        None,
        r"whole donors|[Ww]ith donors held out",
        "drawn at random, are test cells.",
        DIVIDED,
    ),
    ("evaluate.split.groups", "batch", r"whole donors", "or whole batch groups are held out", DIVIDED),
    ("evaluate.knn.k", 15, r"\b10[- ]?(NN|nearest)", "15 nearest neighbours", C4 | SUM | TEXT | PAGE),
    ("evaluate.knn.tie", "smallest", r"of the nearest cell", "ones the alphabetically first", C4),
    ("evaluate.logreg.max_iter", 500, r"100 iterations", "at most 500 iterations", S44),
    ("evaluate.logreg.C", 0.1, r"C = 1\b", "C = 0.1", S44),
    ("evaluate.logreg.labels", ["cancer_type"], r"phenotype or disease", "patient, and cancer_type", S44),
    (
        "evaluate.logreg.labels",
        [],
        r"logistic r.* on test|Section 4.4: patient, and",
        "# Section 4.4: patient Com",
        S44,
    ),
    ("evaluate.min_test_cells", 5, r"at least 10", "at least 5 test cells", C4),
    ("evaluate.ensemble", "vote", r"likely reading", "the alphabetically first cell type is chosen", C4),
    ("label.missing_labels", ["NA"], r"unassigned", "one that means missing (NA, in any case)", C4 | T2),
    ("grid.ensemble", [], r"[Ee]nsemble", "95 % of single runs fall. With donors", C4),
]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the stage writes with the settings as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("before"))
        patch.setattr("stages.report.draw", lambda *_: None)
        write_project()
        return of_this_run()


@pytest.mark.parametrize(("key", "value", "old", "new", "names"), CASES, ids=[f"{case[0]}={case[1]}" for case in CASES])
def test_every_text_follows_a_parameter(
    project: Path, before: dict[str, str], key: str, value: Any, old: str, new: str, names: set[str]
) -> None:
    assert all(re.search(old, text) for name, text in before.items() if name in names)
    for part in reversed(key.split(".")):
        value = {part: value}
    write_settings(Path(), value)
    for name, text in of_this_run().items():
        assert name not in names or new in text, name
        assert not re.search(old, text), name


def of_this_run() -> dict[str, str]:
    """What the stage writes, without what it quotes of the paper: its sections' origins and its oddities."""
    written = texts()
    page = written["paper_tracking"].split("## Oddities in the paper")[0]
    return {**written, "paper_tracking": re.sub(r"## [^|]*? Paper: .*? (?=Not run|\|)", "", page)}


def test_settings_unlike_the_authors_are_named(project: Path) -> None:
    def named() -> str:
        return texts()["paper_tracking"].split("in brackets: ")[1].split(". ")[0]

    assert named() == "seed null (2023), asw null (euclidean), split.groups patient (null), knn.tie nearest (smallest)"
    same = {"seed": 2023, "asw": "euclidean", "split": {"groups": None}, "knn": {"tie": "smallest"}}
    write_settings(Path(), {"evaluate": same})
    assert named() == "none"
    write_settings(Path(), {"evaluate": {"knn": {"k": 15}, "split": {"groups": "patient"}}})
    assert named() == "split.groups patient (null), knn.k 15 (10)"


def test_titles_of_dvc_plots_follow_parameters() -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    of_stages = [plot for stage in pipeline["stages"].values() for plot in stage.get("plots", [])]
    plots = [plot for plot in (*pipeline["plots"], *of_stages) if isinstance(plot, dict)]
    titles = [options["title"] for plot in plots for options in plot.values() if "title" in options]
    assert any("${evaluate.knn.k} nearest" in title for title in titles)
    assert not [title for title in titles if re.search(r"\d", title)]
