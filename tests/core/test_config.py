"""Settings files: what is misspelt, mistyped or badly named ends in one line that says where and what was meant."""

from __future__ import annotations

import copy
import datetime
import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from genept.core import config, params
from genept.core.config import Config, check_name, read_yaml
from genept.core.errors import ParamsError
from genept.datasets import config as datasets
from genept.engines import config as models
from tests.helpers import ROOT


def readers() -> dict[str, Callable[[], Any]]:
    """Return every settings file of the repository with what reads it."""
    found: dict[str, Callable[[], Any]] = {"params.yaml": params.load}
    for path in sorted((ROOT / "data").glob("*.yaml")):
        if path.stem not in ("reference", "hashes.lock"):
            found[f"data/{path.name}"] = partial(datasets.read, path.stem)
    for path in sorted((ROOT / "models").glob("*.yaml")):
        found[f"models/{path.name}"] = partial(models.read, path.stem)
    return found


READERS = readers()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the repository's settings files, in which commands are run."""
    for pattern in ("params.yaml", "data/*.yaml", "data/markers/*", "models/*.yaml", "models/*.py", "models/sources/*"):
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every mapping whose keys are known."""
    if isinstance(value, BaseModel):
        yield place
        for key in type(value).model_fields:
            yield from typed(getattr(value, key), (*place, key))
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from typed(entry, (*place, key))
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from typed(entry, (*place, index))


def at(content: Any, place: tuple[Any, ...]) -> Any:
    """Return what stands at a place of a file's content; None if the setting is not written there."""
    for key in place:
        if not isinstance(content, dict | list) or (isinstance(content, dict) and key not in content):
            return None
        content = content[key]
    return content


@pytest.mark.parametrize("name", READERS)
def test_every_misspelt_key_is_refused_and_the_nearest_named(name: str, settings: Path) -> None:
    read, content = READERS[name], yaml.safe_load((settings / name).read_text(encoding="utf-8"))
    tried = 0
    for place in typed(read()):
        mapping = at(content, place)
        for key in list(mapping) if isinstance(mapping, dict) else ():
            changed = copy.deepcopy(content)
            at(changed, place)[f"{key}{key[-1]}"] = mapping[key]
            (settings / name).write_text(yaml.safe_dump(changed), encoding="utf-8")
            with pytest.raises(ParamsError) as error:
                read()
            assert error.value.message.startswith(name)
            assert f"'{key}{key[-1]}'" in error.value.message
            assert f"did you mean '{key}'" in error.value.message
            assert "\n" not in error.value.message
            tried += 1
    assert tried >= 3


@pytest.mark.parametrize("name", ["pbmc.3k", 1234, "pbmc 3k", "../x", "", "3k", "a-b", None, "x;rm"])
def test_what_cannot_be_a_name_is_refused_by_a_rule_that_is_true(name: Any) -> None:
    with pytest.raises(ParamsError, match=r"x: .* cannot be a name; begin with a letter"):
        check_name(name, "x")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("grid.datasets", ["3k"], "params.yaml: grid.datasets.0: '3k' cannot be a name; begin with a letter"),
        ("seed", -1, "params.yaml: seed: should be greater than or equal to 0, got -1"),
        ("seed", "1", "params.yaml: seed: should be a valid integer, got '1'"),
        ("device", "gpu", "params.yaml: device: should be 'auto', 'cpu' or 'cuda', got 'gpu'"),
        ("evaluate.knn.k", 1.5, "params.yaml: evaluate.knn.k: should be a valid integer, got 1.5"),
        ("evaluate.split.test_size", 1.0, "params.yaml: evaluate.split.test_size: should be less than 1, got 1.0"),
        ("evaluate.logreg.labels", ["phenotyp"], "got 'phenotyp'; did you mean 'phenotype'?"),
        ("grid.ensemble", ["expresion"], "'expresion' is not in the grid; did you mean 'expression'?"),
        ("grid.models", {}, "models: names no model; name at least one"),
        ("grid.pretrain", [], "pretrain: names no dataset to train scgpt_trained and geneformer_trained on"),
        ("grid.models.controls", ["expression"], "models: 'expression' stands twice"),
        ("grid.models.custom", ["expression", "random_ft_minilm"], "'random_ft_minilm' is the name of a row"),
        ("grid.models.finetuned", ["ft", "genept_w_ft"], "two heads of finetuned on controls would have one name"),
        ("grid.models.genept_w", [], "controls and finetuned are made from the first of genept_w, which is empty"),
    ],
)
def test_what_a_setting_cannot_be_is_said_in_one_line(key: str, value: Any, message: str, settings: Path) -> None:
    content = yaml.safe_load((settings / "params.yaml").read_text(encoding="utf-8"))
    *place, last = key.split(".")
    at(content, tuple(place))[last] = value
    (settings / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError) as error:
        params.load()
    assert message in error.value.message
    assert "\n" not in error.value.message


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**12, 1.5, float("nan"), float("inf"), float("1e400"), datetime.date(2020, 1, 2)),
    *("", "no", "x" * 10_000, "a\0b", "\ud800", [], ["a"], [None], {}, {"a": 1}, {1: 2}, {None: 1}, b"a"),
)
#: Where null stands for something: a limit or choice that is none, a section that the file may leave out.
NULL = re.compile(
    r"(.*\.)?(max_genes|max_mitochondrial|pca_for_patient|asw|groups|n_epochs|batch|by|over|sha256|without_summary|name|member"
    r"|locus_types|n_dimensions|n_genes|symbol|ensembl|layer|annotation|samples|labels|subset|source)"
    r"|(evaluate|protocols\.authors)\.seed|paper|fallback|label_source|pretrain|missing_labels|embed\..*|vectors.*"
)
#: Where a list or a number may stand for another kind: reported labels, values of a column, no source at all.
OTHER = re.compile(r"(fallback\.)?(reported\..*|keep_var\..*|samples\..*)|source")


def kind(value: Any) -> str:
    """Return what a value is in YAML; a whole number may stand for one with decimals."""
    return {bool: "bool", int: "number", float: "number"}.get(type(value), type(value).__name__)


def leaves(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value; of a list's values and of the files of a source only the first."""
    yield place
    items = list(content.items() if isinstance(content, dict) else enumerate(content)) if place != ("x",) else []
    for key, value in items[:1] if isinstance(content, list) or place[-1:] in (("files",), ("map",)) else items:
        yield from leaves(value, (*place, key)) if isinstance(value, dict | list) else [(*place, key)]


@pytest.mark.parametrize("name", [n for n in READERS if Path(n).stem not in ("bones_figshare", "genept_w_large3")])
def test_no_odd_value_of_any_setting_is_a_traceback_or_taken_for_another(
    name: str, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read_yaml(settings / name)
    for place in [place for place in leaves(content) if place and place != ("engine",)]:
        changed, key = copy.deepcopy(content), ".".join(map(str, place))
        for module in (config, models):
            monkeypatch.setattr(module, "read_yaml", lambda _, changed=changed: changed)
        for value in ODD:
            at(changed, place[:-1])[place[-1]] = value
            try:
                READERS[name]()
            except ParamsError as error:
                assert (
                    "\n" not in error.message
                    and len(error.message) < 700
                    and error.message.startswith((name, "models/sources/"))
                )
                continue
            known = kind(value) == kind(at(content, place)) or at(content, place) is None or OTHER.fullmatch(key)
            assert known or (value is None and NULL.fullmatch(key)), f"{key}: {value!r} is accepted"
            assert not isinstance(value, int | float) or abs(value) <= 2**32, f"{key}: {value!r} is accepted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"seed: 0\nseed: 1\n", "duplicate key"),
        (b"\tseed: 0\n", "not readable as YAML"),
        (b"seed: \xff\n", "not readable as YAML"),
        (b"seed: 2020-99-99\n", "not readable as YAML"),
        (b"seed: " + b"9" * 5000, "not readable as YAML"),
        (b"a: 1\n---\na: 2\n", "not readable as YAML"),
        (b"seed: !!python/object:os.system x\n", "not readable as YAML"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "nested (too deep|more than)"),
        (b"seed: &a [*a]\n", "seed: nested more than 30 deep"),
        (b"a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(
            f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 10)}]\n".encode() for n in range(9)
        ), "more than 100,000 values"),
        (b"#" * 10_000_001, "larger than 10,000,000 bytes"),
        (b"", "expected a mapping"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plain_yaml_is_one_line(text: bytes, message: str, settings: Path) -> None:
    (settings / "params.yaml").write_bytes(text)
    with pytest.raises(ParamsError, match=message) as error:
        params.load()
    assert "\n" not in error.value.message and len(error.value.message) < 700


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], None], settings: Path) -> None:
    (settings / "params.yaml").unlink()
    make(settings / "params.yaml")
    with pytest.raises(ParamsError, match=r"params\.yaml: not a file"):
        params.load()


def test_a_misspelt_annotation_is_refused_and_the_nearest_named(settings: Path) -> None:
    content = yaml.safe_load((settings / "data/covid.yaml").read_text(encoding="utf-8"))
    content["obs"]["phenotyp"] = content["obs"].pop("phenotype")
    (settings / "data/covid.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"data/covid.yaml: obs.phenotyp.*; did you mean 'phenotype'"):
        datasets.read("covid")


def test_a_version_that_yaml_reads_as_a_number_needs_quotes() -> None:
    class Entry(Config):
        version: str

    with pytest.raises(ParamsError, match=r"x: version: put quotes around 1.1: YAML reads it as a number"):
        Entry.parse(yaml.safe_load("version: 1.10"), "x")


@pytest.mark.parametrize("name", READERS)
def test_a_settings_file_is_stored_as_dvc_writes_it(name: str, settings: Path) -> None:
    """So `dvc exp run -S` and back leaves it as it was, byte for byte."""
    from dvc.utils.hydra import apply_overrides

    before, title = (settings / name).read_bytes(), read_yaml(settings / name).get("title")
    there, back = [["title=x"], [f"title='{str(title).replace(chr(39), chr(92) + chr(39))}'"]]
    if name == "params.yaml":
        there, back = [["seed=1", "grid=${grids.quick}"], ["seed=0", "grid=${grids.default}"]]
    apply_overrides(name, there)
    assert (settings / name).read_bytes() != before
    apply_overrides(name, back)
    assert (settings / name).read_bytes() == before, (
        f"python -c \"from dvc.utils.hydra import apply_overrides; apply_overrides('{name}', [])\" writes it"
    )
