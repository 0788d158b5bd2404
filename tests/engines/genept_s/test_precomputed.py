"""GenePT-s by an embeddings API and by vectors from a file, up to the notes beside the embedding."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from click.testing import CliRunner, Result

from genept.core.errors import InputError, ParamsError
from genept.data import embeddings
from genept.engines.genept_s import embed as genept_s
from genept.engines.genept_s import precomputed as _precomputed
from stages.embed import main
from tests.engines.text_api.service import Service, vector

needs_openai = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="the package openai is not installed (`pip install openai`)"
)
N_GENES = 60


@pytest.fixture
def cells() -> anndata.AnnData:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 2.0, size=N_GENES), size=(20, N_GENES)).astype(np.float32)
    counts[3] = 0
    obs = pd.DataFrame(index=[f"00{i}" for i in range(20)])  # ids that look like numbers
    genes = [f"GENE-{i}" if i % 3 else f"G{i}" for i in range(N_GENES)]
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes), uns={"x": "counts"})


def sentences(cells: anndata.AnnData, max_bytes: int) -> tuple[list[str], list[int], int]:
    """The sentences by plain sorting, each with as many symbols as fit; their numbers; how many are cut."""
    texts, n_read, n_cut = [], [], 0
    for values in cells.X.toarray().tolist():
        ordered = [name for value, name in sorted(zip([-v for v in values], cells.var_names, strict=True)) if value]
        fits = [k for k in range(len(ordered) + 1) if len(genept_s.PROMPT + " ".join(ordered[:k])) <= max_bytes]
        texts.append(genept_s.PROMPT + " ".join(ordered[: max(fits)]))
        n_read.append(max(fits))
        n_cut += max(fits) < len(ordered)
    return texts, n_read, n_cut


@needs_openai
@pytest.mark.parametrize("max_tokens", [100, 8191])
def test_cells_get_the_vectors_of_their_sentences(cells: anndata.AnnData, service: Service, max_tokens: int) -> None:
    texts, n_read, n_cut = sentences(cells, max_tokens)
    options = {"encoder": "openai", "openai": {"base_url": service.url, "max_tokens": max_tokens}}
    matrix, notes = genept_s.embed(cells, Path("nowhere"), options, "cpu")
    np.testing.assert_array_equal(matrix, np.stack([vector(text) for text in texts]))
    assert set(service.served) == set(texts)
    assert notes["n_truncated"] == n_cut and (n_cut > 0) == (max_tokens == 100)
    assert notes["symbols_read_min"] == min(n_read) and notes["symbols_read_max"] == max(n_read)
    assert notes["symbols_read_mean"] == pytest.approx(np.mean(n_read), abs=0.005)
    assert notes["symbols_expressed_mean"] == pytest.approx((cells.X.toarray() > 0).sum(axis=1).mean(), abs=0.005)
    assert notes["encoder"] == "openai" and notes["model"] == "text-embedding-ada-002" and notes["comparable"] is True
    assert notes["max_length"] == max_tokens and notes["cached_share"] == 0 and notes["n_genes_missing"] == 0


@pytest.fixture
def run(cells: anndata.AnnData) -> Any:
    """Embed the cells by the command line, with the given entry of the model."""

    def invoke(**entry: Any) -> Result:
        Path("data/blood").mkdir(parents=True, exist_ok=True)
        cells.write_h5ad("data/blood/cells.h5ad")
        model = {"title": "GenePT-s", "engine": "genept_s", **entry}
        params = {"threads": 1, "device": "cpu", "datasets": {"blood": {"title": "b", "note": "b"}}}
        Path("params.yaml").write_text(yaml.safe_dump({**params, "models": {"ada": model}}))
        return CliRunner().invoke(main, ["blood", "ada"])

    return invoke


@needs_openai
def test_the_command_prints_the_cost_and_writes_notes_without_the_key(
    run: Any, service: Service, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    service.key = "sk-made-up-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", service.key)
    result = run(encoder="openai", openai={"base_url": service.url})
    assert result.exit_code == 0, result.output
    first, last = result.output.splitlines()
    assert "20 texts, 0 of them cached; 20 to send, at most" in first
    assert last.startswith("blood x ada: 20 cells, 12 dimensions")
    notes = embeddings.read_notes("blood", "ada")
    assert notes["tokens_sent"] > 0 and notes["usd"] == pytest.approx(notes["tokens_sent"] * 1e-7, abs=1e-6)
    written = [path for path in project.rglob("*") if path.is_file()]
    assert len(written) > 3 and not [path for path in written if service.key.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        ({"encoder": "opanai"}, 2, "encoder must be local, openai or file, got 'opanai'"),
        ({"encoder": "openai", "precision": "bfloat16"}, 2, "precision belongs to `encoder: local`"),
        (
            {"encoder": "openai", "openai": {"api_key": "secret"}},
            2,
            "openai.api_key: a key is read from OPENAI_API_KEY",
        ),
        ({"encoder": "openai", "openai": {"max_tokens": 3}}, 2, "3 is less than the prompt alone has"),
        ({"encoder": "openai", "openai": {"max_usd": 0}}, 1, "is more than max_usd 0; "),
        ({"encoder": "file"}, 1, "models/ada: no vectors; put NAME.csv, or NAME.npy and NAME.cells.txt, there"),
    ],
)
def test_bad_requests_are_one_line(run: Any, entry: dict[str, Any], code: int, message: str) -> None:
    result = run(**entry)
    assert result.exit_code == code and message in result.output and "secret" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: ada on blood: " if code else "")
    assert not Path("data/blood/embeddings").exists()


def test_an_empty_text_is_said(cells: anndata.AnnData) -> None:
    with pytest.raises(InputError, match="1 texts are empty, and the API takes no empty text"):
        genept_s.embed(cells, Path(), {"encoder": "openai", "prompt": ""}, "cpu")


# Vectors from a file


def write(folder: Path, name: str, ids: list[str], vectors: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, vectors)
        (folder / name).with_suffix(".cells.txt").write_text("".join(f"{cell}\n" for cell in ids))
    else:
        pd.DataFrame(vectors, index=pd.Index(ids, name="cell")).to_csv(folder / name)


@pytest.mark.parametrize("name", ["aorta.npy", "aorta.csv"])
def test_precomputed_vectors_are_found_by_cell_id(cells: anndata.AnnData, project: Path, name: str) -> None:
    folder = project / "model"
    ids = [*cells.obs_names[::-1], "elsewhere"]
    vectors = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)
    write(folder, name, ids, vectors)
    write(folder, "other.csv", ["x", "y"], np.zeros((2, 7)))  # of another dataset
    matrix, notes = genept_s.embed(cells, folder, {"encoder": "file"}, "cpu")
    np.testing.assert_allclose(matrix, vectors[:20][::-1], rtol=1e-6)
    assert matrix.dtype == np.float32
    assert notes["encoder"] == "file" and notes["file"] == name and len(notes["file_sha256"]) == 64


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_missing_and_repeated_cells_are_one_line(cells: anndata.AnnData, project: Path, name: str) -> None:
    folder = project / "model"
    ids = list(cells.obs_names)
    write(folder, "b.csv", ["x"], np.zeros((1, 7)))
    write(folder, name, [*ids[:18], "0018", "18"], np.zeros((20, 2)))
    with pytest.raises(InputError, match=rf"model/{name}: lacks 1 of 20 cells, the first is '0019'; ids must be equal"):
        _precomputed.embed(cells, folder)
    write(folder, name, [*ids, ids[4]], np.zeros((21, 2)))
    with pytest.raises(InputError, match=rf"model/{name}: cell id '004' occurs more than once"):
        _precomputed.embed(cells, folder)


def test_two_tables_for_the_same_cells_are_one_line(cells: anndata.AnnData, project: Path) -> None:
    for name in ("a.csv", "b.npy"):
        write(project / "model", name, list(cells.obs_names), np.zeros((20, 2)))
    with pytest.raises(InputError, match=r"a\.csv and .*b\.npy both have all 20 cells; keep one of them"):
        _precomputed.embed(cells, project / "model")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"", "not a table of vectors"),
        ("a.npy", b"\x93NUMPY\x01\x00", "not a table of vectors"),
        ("a.csv", b"", "not a table of vectors"),
        ("a.csv", b"cell\n000\n", "one column; expected ids and coordinates"),
        ("a.csv", b"cell,0,1\n000,0.5,high\n", "could not convert string to float: 'high'"),
        ("a.csv", b"cell,0,1\n000,0.5\n", "not a table of vectors"),
        ("a.csv", b"cell,0\n000,0.5,1,2\n", "not a table of vectors"),
        ("a.csv", b"cell,0\n\xff,0.5\n", "not a table of vectors"),
    ],
)
def test_damaged_tables_are_one_line(
    cells: anndata.AnnData, project: Path, name: str, content: bytes, message: str
) -> None:
    folder = project / "model"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "a.cells.txt").write_text("000\n")
    with pytest.raises(InputError, match=message) as caught:
        _precomputed.embed(cells, folder)
    assert "\n" not in caught.value.message and f"model/{name}: " in caught.value.message


def test_a_matrix_must_have_a_row_for_every_id_and_no_pickles(cells: anndata.AnnData, project: Path) -> None:
    folder = project / "model"
    write(folder, "a.npy", list(cells.obs_names), np.zeros((19, 2)))
    with pytest.raises(InputError, match=r"float64 of shape \(19, 2\) for 20 cells"):
        _precomputed.embed(cells, folder)
    np.save(folder / "a.npy", np.array([{"a": 1}] * 20, dtype=object))
    with pytest.raises(InputError, match=r"a\.npy: not a table of vectors"):
        _precomputed.embed(cells, folder)
    (folder / "a.cells.txt").unlink()
    np.save(folder / "a.npy", np.zeros((20, 2)))
    with pytest.raises(InputError, match=r"a\.cells\.txt: no such file; it names the cells of a\.npy"):
        _precomputed.embed(cells, folder)


def test_encoder_local_is_the_default_and_unknown_ones_are_said(cells: anndata.AnnData) -> None:
    with pytest.raises(ParamsError, match="encoder must be local, openai or file, got None"):
        genept_s.embed(cells, Path(), {"encoder": None}, "cpu")
