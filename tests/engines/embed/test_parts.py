"""Cells in parts: embeddings equal those of one file, and a run makes only the parts that no earlier one has made."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core import compute, files
from genept.core.errors import InputError
from genept.data import cells, embeddings, gene_vectors, parts
from genept.datasets import copies, labelled, matrix
from genept.engines import finished, running, sums
from genept.engines.network import job as jobs
from stages.embed import main
from tests import children, helpers
from tests.engines.geneformer import made as geneformer

N_CELLS, N_PARTS = 40, 4  # of 11 cells, and the last of 7
SCGPT = helpers.ROOT / "tests/fixtures/scgpt"
SYMBOLS = [*list(json.loads((SCGPT / "vocab.json").read_text()))[:57], "NONE1", "NONE2", "NONE3"]
FOLDER, CACHE = Path("data/blood/labelled"), Path("data/cache/embed/blood")
IDS = [f"ENSG{number:011d}" for number in range(1, len(SYMBOLS) + 1)]
BY_PARTS = """
from genept.core.config import Config
from genept.core.notes import Total
from genept.engines.config import ModelConfig
import numpy as np

BY_PARTS = True

class Embed(Config):
    factor: int = 2

class Model(ModelConfig):
    embed: Embed = Embed()

def embed(cells, folder, config, device):
    totals = np.asarray(cells.X.sum(axis=1)).ravel() * config.embed.factor
    lengths = cells.obs["cell_type"].astype(str).map(len)
    return np.column_stack([totals, lengths]), {"n_b": Total((cells.obs["cell_type"] == "B").sum())}
"""
ENTRIES: dict[str, dict[str, Any]] = {
    "words": {"engine": "genept_w", "vectors": {"released": "x"}, "embed": {}},
    "control": {"engine": "genept_w", "control": "random", "draws": 3, "embed": {}},
    "expression": {"embed": {"n_components": 5}},
    "scgpt": {"engine": "scgpt", "embed": {}},
    "geneformer": {"engine": "geneformer", "embed": {}},
    "sentences": {"engine": "genept_s", "embed": {}},
    "mine": {"embed": {"factor": 2}},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of every engine."""
    folder = tmp_path_factory.mktemp("models")
    vectors = np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32)
    genes = [gene_vectors.VectorGene(symbol, "", 1, False, symbol) for symbol in SYMBOLS[:50]]
    gene_vectors.write(folder / "words", vectors, genes, {})
    shutil.copytree(SCGPT, folder / "scgpt")
    geneformer.write_model(folder / "geneformer", geneformer.small(geneformer.V1, 55))
    helpers.write_encoder(folder / "sentences", ["A cell with genes ranked by expression: ", *SYMBOLS])
    (folder / "mine.py").write_text(BY_PARTS)
    shutil.copyfile(helpers.ROOT / "models/expression.py", folder / "expression.py")
    return folder


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a labelled dataset whose 40 cells are in four parts."""
    folder = tmp_path_factory.mktemp("cells")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        few_cells(patch)
        write(make())
    return folder / FOLDER


def few_cells(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parts, "CELLS", 11)
    patch.setattr(cells, "IN_ONE_FILE", 10)
    patch.setattr(sums, "PARTS", 1)


CODE_SHA256 = functools.cache(files.code_sha256)  # which takes a second


@pytest.fixture
def project(tmp_path: Path, models: Path, in_parts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose 40 cells are in four parts."""
    monkeypatch.chdir(tmp_path)
    few_cells(monkeypatch)
    monkeypatch.setattr(
        files,
        "code_sha256",
        lambda path: files.sha256(path) if path.is_relative_to(Path("models").absolute()) else CODE_SHA256(path),
    )
    shutil.copytree(models, "models")
    params = {"threads": 1, "device": "cpu", "seed": 0, "grid": {"models": {"genept_w": ["words"]}, "ensemble": []}}
    entries = {name: {"title": name, **entry} for name, entry in ENTRIES.items()}
    helpers.write_settings(Path(), params, {"blood": {"title": "Blood"}}, entries)
    shutil.copytree(in_parts, FOLDER)
    return tmp_path


def make(n_cells: int = N_CELLS, x: str = "counts") -> AnnData:
    """Cells, the first ones always the same."""
    rng = np.random.default_rng(3)
    values = rng.poisson(rng.gamma(0.7, 2.0, (100, len(SYMBOLS))))[:n_cells].astype(np.float32)
    values[4], values[4, 59] = 0, 4  # a cell that expresses a single gene, which most models do not know
    values[2, 3] = 70_000  # more than 16 bits
    if x == "lognorm":
        values = np.log1p(values / values.sum(axis=1, keepdims=True) * 10_000).astype(np.float32)
    names = pd.Index([f"cell{number}" for number in range(n_cells)], name="cell_id")
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.array(["B", "T"])[np.arange(n_cells) % 2])}, index=names)
    var = pd.DataFrame({"ensembl_id": IDS, "original_symbol": SYMBOLS}, index=pd.Index(SYMBOLS, name="symbol"))
    return AnnData(sp.csr_matrix(values), obs, var, uns={"x": x, "x_dtype": "float32", "label_source": "author"})


def write(data: AnnData) -> None:
    """Write what `stages.label` would."""
    x = matrix.in_memory(data.X)
    with files.replacing_folder(FOLDER) as folder:
        chosen = labelled.Chosen(x, data.obs, copies.digests(x)[0])
        labelled.write(folder, chosen, data.var, dict(data.uns), "blood")


def run(model: str) -> Result:
    return CliRunner().invoke(main, ["blood", model], catch_exceptions=False)


def written(model: str) -> list[bytes]:
    return [path("blood", model).read_bytes() for path in (embeddings.matrix_path, embeddings.notes_path)]


def embed(model: str) -> list[bytes]:
    """Run, and return the matrix and the notes."""
    result = run(model)
    assert result.exit_code == 0, result.output
    return written(model)


def embedded(model: str, data: AnnData) -> tuple[np.ndarray, dict[str, Any]]:
    embed(model)
    return np.array(embeddings.read_draws("blood", model, list(data.obs_names))), embeddings.read_notes("blood", model)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the parts that are computed, in turn."""
    names: list[str] = []
    write_part = finished.write_part

    def counted(path: Path, *rest: Any) -> None:
        names.append(path.name)
        write_part(path, *rest)

    monkeypatch.setattr(finished, "write_part", counted)
    return names


def kept(model: str) -> list[Path]:
    return sorted((CACHE / model / "parts").glob("*.npz"))


@pytest.mark.parametrize(
    ("model", "x"),
    [
        *[(model, "counts") for model in ENTRIES if model != "mine"],
        *[(model, "lognorm") for model in ("words", "expression", "geneformer")],
    ],
)
def test_an_embedding_by_parts_is_that_of_one_file(
    project: Path, model: str, x: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(x=x)
    write(data)
    assert (FOLDER / parts.MANIFEST).exists()
    in_parts, notes = embedded(model, data)
    monkeypatch.setattr(cells, "IN_ONE_FILE", N_CELLS)
    write(data)
    in_parts_of_file = embed(model)
    monkeypatch.setattr(parts, "CELLS", N_CELLS)
    whole, expected = embedded(model, data)
    assert (FOLDER / cells.IN_FILE).exists() and not (FOLDER / parts.MANIFEST).exists()
    assert notes == expected and list(notes) == list(expected)
    assert json.loads(in_parts_of_file[1]) == expected
    if model in ("words", "control"):
        np.testing.assert_array_equal(in_parts, whole)
        assert in_parts_of_file == written(model)
    elif model == "expression":
        assert (np.abs(in_parts - whole) <= 1e-6 * whole.std(axis=1, keepdims=True)).all()
    else:
        np.testing.assert_allclose(in_parts, whole, rtol=0, atol=2e-6 * np.abs(whole).max())
    assert in_parts.shape[0] == (3 if model == "control" else 1)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def test_each_part_is_made_once_and_further_cells_make_further_parts(project: Path, made: list[str]) -> None:
    first = embed("words")
    assert len(made) == N_PARTS and [path.name for path in kept("words")] == sorted(made)
    assert embed("words") == first and len(made) == N_PARTS
    write(make(N_CELLS + 1))
    longer = embed("words")
    assert len(made) == N_PARTS + 1, "the last part has one more cell"
    write(make(N_CELLS + 5))
    embed("words")
    assert len(made) == N_PARTS + 3, "it is full, and there is another one"
    assert sorted(json.loads((CACHE / "words/parts/used.json").read_text())) == sorted([*made[:3], *made[-2:]])
    shutil.rmtree(CACHE)
    write(make(N_CELLS + 1))
    assert embed("words") == longer


def set_entry(model: str, **changes: Any) -> None:
    helpers.write_settings(Path(), models={model: {"title": model, **ENTRIES[model], **changes}})


def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "resolve_device", lambda device: "cuda")


def with_labels(labels: str) -> None:
    data = make()
    data.obs["cell_type"] = pd.Categorical(np.array(list(labels))[np.arange(N_CELLS) % len(labels)])
    write(data)


def of_type(dtype: str) -> None:
    data = make()
    data.uns["x_dtype"] = dtype
    write(data)


def one_count_more() -> None:
    data = make()
    data.X[10, 0] += 1
    write(data)


Change = Callable[[], object]
ALL = N_PARTS


@pytest.mark.parametrize(
    ("model", "change", "n_made"),
    [
        ("words", lambda: set_entry("words", embed={"unit_norm": False}), ALL),
        ("words", lambda: set_entry("words", title="New", note="words"), 0),
        ("words", lambda: files.write_json(Path("models/words/more.json"), 1), ALL),
        ("words", lambda: helpers.write_settings(Path(), {"seed": 1}), 0),
        ("control", lambda: helpers.write_settings(Path(), {"seed": 1}), ALL),
        ("mine", lambda: Path("models/mine.py").write_text(BY_PARTS + "# other code\n"), ALL),
        ("words", lambda: with_labels("TB"), 0),
        ("mine", lambda: with_labels("TB"), ALL),
        ("words", lambda: of_type("float64"), ALL),
        ("words", one_count_more, 1),
    ],
)
def test_what_a_part_depends_on_makes_it_anew(
    project: Path, made: list[str], model: str, change: Change, n_made: int
) -> None:
    embed(model)
    made.clear()
    change()
    after = embed(model)
    assert len(set(made)) == n_made
    shutil.rmtree(CACHE)
    assert embed(model) == after, "as without any earlier part"


def test_parts_of_another_device_are_made_anew(project: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    embed("words")
    on_a_gpu(monkeypatch)
    embed("words")
    assert len(set(made)) == 2 * N_PARTS
    monkeypatch.setattr(running, "version", lambda name: "0")
    embed("words")
    assert len(set(made)) == 3 * N_PARTS, "nor of other libraries"


@pytest.mark.parametrize("model", ["control", "mine"])
def test_a_damaged_part_is_named_and_made_again(project: Path, made: list[str], model: str) -> None:
    expected, rng = embed(model), random.Random(7)
    for turn in range(6):
        made.clear()
        path = rng.choice(kept(model))
        content = path.read_bytes()
        path.write_bytes((cut if turn % 2 else flip)(content, rng))
        result = run(model)
        assert result.exit_code == 0 and written(model) == expected, result.output
        if made:  # else the byte was one that says nothing, such as a date in the archive
            assert made == [path.name]
            assert f"{path}: damaged; its cells are computed again" in result.stderr.splitlines()
        path.write_bytes(content)


def test_no_flipped_bit_of_a_part_passes_for_other_numbers(tmp_path: Path) -> None:
    """Also in what the archive says of itself: it may seem encrypted, or packed by an unknown method."""
    path = tmp_path / "part.npz"
    vectors, found = np.arange(12, dtype=np.float32).reshape(6, 2), {"n": 7}
    finished.write_part(path, vectors, found)
    content = path.read_bytes()
    rng = random.Random(1)
    for place in range(len(content)):
        for bit in rng.sample(range(8), 2):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            try:
                read, notes = finished.read_part(path)
            except jobs.DAMAGE:
                continue
            assert (read == vectors).all() and read.shape == vectors.shape and notes == found
    for length in range(0, len(content), 11):
        path.write_bytes(content[:length])
        with pytest.raises(jobs.DAMAGE):
            finished.read_part(path)


def kept_bytes(model: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in kept(model)}


UNDISTURBED: dict[str, list[bytes]] = {}  # by the model


def undisturbed(model: str) -> list[bytes]:
    """What a run writes, of which nothing is on disk."""
    if model not in UNDISTURBED:
        UNDISTURBED[model] = embed(model)
        remove_results()
    return UNDISTURBED[model]


def remove_results() -> None:
    shutil.rmtree(CACHE)
    shutil.rmtree(FOLDER.parent / "embeddings")


def no_temporary_files() -> bool:
    return not list(Path().rglob(f"{files.WRITING}*"))


@pytest.mark.parametrize("n_finished", [0, 1, 3])
def test_a_run_killed_behind_a_part_goes_on_with_the_next(project: Path, made: list[str], n_finished: int) -> None:
    expected = undisturbed("control")
    made.clear()
    die = functools.partial(children.on_call, n_finished, finished, "write_part", children.die)
    ended = children.run(main, ["blood", "control"], die)
    assert ended.code == -signal.SIGKILL and len(kept("control")) == n_finished
    assert embed("control") == expected and len(made) == N_PARTS - n_finished
    assert no_temporary_files()


@pytest.mark.parametrize("model", ["control", "geneformer", "expression"])
def test_a_run_killed_at_any_moment_ends_in_the_same_bytes(project: Path, model: str) -> None:
    expected = undisturbed(model)
    with children.counting_calls() as n_calls:
        embed(model)
    remove_results()
    rng = random.Random(len(model))
    n_moments = n_calls()
    for share in (0.3, 0.6, 0.9):
        moment = int(n_moments * (share + rng.uniform(-0.1, 0.1)))
        ended = children.run(main, ["blood", model], functools.partial(children.kill_at, moment))
        assert ended.code in (-signal.SIGKILL, 0), ended.output  # what is left may be done earlier
    assert embed(model) == expected and no_temporary_files()


@pytest.mark.parametrize("model", ["control", "expression"])
def test_two_runs_at_once_write_the_same_bytes(project: Path, model: str) -> None:
    expected = undisturbed(model)
    runs = [children.Child(main, ["blood", model]) for _ in range(3)]
    for ended in [run.wait() for run in runs]:
        assert ended.code == 0, ended.output
    used = json.loads((CACHE / model / "parts/used.json").read_text())
    assert written(model) == expected and {path.name for path in kept(model)} == set(used) and no_temporary_files()


@pytest.mark.parametrize("n_finished", [0, 2])
def test_on_a_full_disk_finished_parts_stay(project: Path, made: list[str], n_finished: int) -> None:
    expected = undisturbed("words")
    made.clear()
    fill = functools.partial(children.on_call, n_finished, finished, "write_part", children.fill_disk)
    ended = children.run(main, ["blood", "words"], fill)
    *_, line = ended.output.splitlines()
    assert ended.code == 1 and "the disk is full" in line and "Traceback" not in ended.output
    assert len(kept("words")) == n_finished and no_temporary_files()
    assert not embeddings.matrix_path("blood", "words").exists()
    assert embed("words") == expected and len(made) == N_PARTS - n_finished


def test_more_than_the_disk_has_room_for_is_refused_before_the_work(
    project: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * N_CELLS * 30 * 4 - 1))
    result = run("words")
    assert result.exit_code == 1 and not made
    assert "Error: words on blood: needs 0.0 GB of disk, 0.0 GB are left; free some space" in result.output
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * N_CELLS * 30 * 4))
    embed("words")


def test_a_cache_that_one_must_not_write_to_is_one_line(project: Path) -> None:
    for path in [project, *project.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    CACHE.parent.mkdir(parents=True)
    CACHE.parent.chmod(0o555)
    ended = children.run(main, ["blood", "words"], children.become_nobody)
    CACHE.parent.chmod(0o755)
    assert ended.code == 1 and ended.output.splitlines()[-1].startswith(f"Error: {CACHE}"), ended.output
    assert "Permission denied" in ended.output and no_temporary_files()
    assert not embeddings.matrix_path("blood", "words").exists()


def test_a_part_that_is_damaged_before_all_are_joined_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = finished.write_part
    monkeypatch.setattr(finished, "write_part", lambda path, *rest: (write_part(path, *rest), path.write_bytes(b"no")))
    result = run("words")
    assert result.exit_code == 1 and "damaged meanwhile" in result.output and "Traceback" not in result.output
    assert not embeddings.matrix_path("blood", "words").exists()
    monkeypatch.undo()


def test_memory_does_not_grow_with_the_number_of_parts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CELLS", 300)
    rng = np.random.default_rng(0)
    peaks = []
    for n_parts in (2, 8):
        n_cells = 300 * n_parts
        x = sp.csr_matrix(rng.poisson(1.0, (n_cells, len(SYMBOLS))).astype(np.float32))
        obs = pd.DataFrame({"cell_type": pd.Categorical(["B"] * n_cells)}, index=[f"c{n:06d}" for n in range(n_cells)])
        write(AnnData(x, obs, make().var, uns=dict(make().uns)))
        del x
        embed("words")
        shutil.rmtree(CACHE)
        tracemalloc.start()
        embed("words")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.1 * peaks[0], peaks


@given(st.data(), st.integers(1, 12), st.integers(1, 4), st.integers(0, 3))
@settings(deadline=None, max_examples=50)
def test_an_embedding_in_pieces_is_written_as_numpy_writes_it_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, n_cells: int, n_dimensions: int, n_draws: int
) -> None:
    folder = tmp_path_factory.mktemp("writer")
    shape = (*([n_draws] if n_draws else []), n_cells, n_dimensions)
    whole = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    whole[..., 0, :] = 0
    np.save(folder / "whole.npy", whole)
    ends = sorted({*data.draw(st.lists(st.integers(1, n_cells))), n_cells})
    writer = embeddings.Writer(lambda: folder / "pieces.npy", "x", n_cells)
    for start, end in zip([0, *ends], ends, strict=False):
        piece = whole[..., start:end, :]
        writer.add(np.asfortranarray(piece) if data.draw(st.booleans()) else piece.astype(np.float64))
    assert writer.n_zeros == 1 and writer.n_added == n_cells
    writer.write()
    assert (folder / "pieces.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    with pytest.raises(InputError, match=f"for {n_cells} cells"):
        writer.add(np.zeros((*shape[:-1], n_dimensions + 1)))
