"""Models of users: whatever ``models/<model>.py`` does or returns is taken, or refused in one line that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from genept.data import embeddings
from stages.embed import main
from tests import helpers
from tests.engines.embed.made import make_cells

N_CELLS = 6
CODE = """import os, sys, warnings, numpy as np, pandas as pd, scipy.sparse as sp, torch
from pathlib import Path
from genept.engines.config import ModelConfig as Model
ALL = np.arange(18.0).reshape(6, 3)
def embed(cells, folder, config, device):
    ids, notes = list(cells.obs_names), {}
    BODY
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = {"device": "cpu", "grid": {"models": {"genept_w": ["words"]}, "ensemble": []}}
    helpers.write_settings(Path(), params, {"blood": {"title": "Blood"}}, {"mine": {"title": "Mine"}})
    Path("data/blood/labelled").mkdir(parents=True)
    make_cells(N_CELLS, 5).write_h5ad("data/blood/labelled/cells.h5ad")


def run(body: str, code: str = CODE) -> Result:
    Path("models/mine.py").write_text(code.replace("BODY", body))
    return CliRunner().invoke(main, ["blood", "mine"])


@pytest.mark.parametrize(
    "body",
    [
        "return ALL, notes",
        "return [ALL.tolist(), None]",
        "return ALL.astype('>f4'), notes",
        "return ALL.astype(np.float16), notes",
        "return np.asfortranarray(ALL).astype(int), notes",
        "return torch.tensor(ALL, requires_grad=True), notes",
        "return torch.tensor(ALL, dtype=torch.bfloat16, requires_grad=True), notes",
        "return torch.tensor(ALL).to_sparse(), notes",
        "return sp.csr_matrix(ALL), notes",
        "return pd.DataFrame(ALL), notes",
        "return pd.DataFrame(ALL, index=ids), notes",
        "print('half way'); print('slow', file=sys.stderr); os.chdir('/'); return ALL, notes",
        "cells.X = cells.X * 0; cells._inplace_subset_var(cells.var_names[:2]); del cells.uns['x']; return ALL, notes",
        "cells = cells[::-1].copy(); cells._inplace_subset_obs([1]); return ALL, notes",
    ],
)
def test_what_stands_for_a_matrix_is_taken(body: str) -> None:
    result = run(body)
    assert result.exit_code == 0, result.output
    found = embeddings.read("blood", "mine", list(make_cells(N_CELLS, 5).obs_names))
    np.testing.assert_array_equal(found, np.arange(18, dtype=np.float32).reshape(6, 3))


def test_numbers_and_arrays_of_numpy_and_torch_become_plain_notes() -> None:
    notes = (
        "dict(a=np.float32(0.5), b=np.arange(2), c=(np.int64(3), np.bool_(True)), d=torch.ones(2), n_genes_missing=2)"
    )
    result = run(f"return ALL, {notes}")
    assert result.exit_code == 0, result.output
    found = embeddings.read_notes("blood", "mine")
    assert [found[key] for key in "abcd"] == [0.5, [0, 1], [3, True], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return ALL", "embed should return a matrix and a dict of notes, not ndarray"),
        ("pass", "a dict of notes, not NoneType"),
        ("return ALL, notes, 1", "not ndarray and dict and int"),
        ("return ALL, 'notes'", "not ndarray and str"),
        ("yield ALL, notes", "not generator"),
        ("return ALL[:5], notes", "shape (5, 3), expected a row for each of 6 cells and a column for each dimension"),
        ("return ALL.T, notes", "of shape (3, 6), expected a row for each of 6 cells"),
        ("return ALL.T, notes", "a column for each dimension; transpose it"),
        ("return ALL[:, :0], notes", "of shape (6, 0), expected"),
        ("return ALL[:, 0], notes", "of shape (6,), expected"),
        ("return ALL[None], notes", "of shape (1, 6, 3), expected"),
        ("return 1.0, notes", "of shape (), expected"),
        ("return [[1.0], [1.0, 2.0]], notes", "embed returned list, which is no matrix ("),
        ("return [torch.ones(3, requires_grad=True)] * 6, notes", "embed returned list, which is no matrix ("),
        ("return torch.ones(6, 3, device='meta'), notes", "embed returned Tensor, which is no matrix ("),
        ("return ALL.astype(str), notes", "embed returned ndarray of <U32; the embedding should be of real numbers"),
        ("return ALL * 1j, notes", "ndarray of complex128"),
        ("return ALL.astype(object), notes", "ndarray of object"),
        ("return None, notes", "NoneType of object"),
        ("return pd.DataFrame(ALL, index=ids[::-1]), notes", "DataFrame whose index is not the given cells in their"),
        ("return np.where(ALL == 3, np.nan, ALL), notes", "1 of 6 cells have NaN or infinite coordinates"),
        ("return np.ma.masked_equal(ALL, 3), notes", "1 of 6 cells have NaN or infinite coordinates"),
        ("return ALL * 1e15, notes", "6 of 6 cells have NaN or infinite coordinates, or some above 1e+15"),
        ("return ALL * 1e300, notes", "6 of 6 cells have NaN or infinite coordinates"),
        ("cells._inplace_subset_obs(ids[:4]); return ALL[:4], notes", "its 6 cells were reduced to 4; work on `cells"),
        ("cells._inplace_subset_obs(ids[::-1]); return ALL, notes", "its 6 cells were reordered or renamed; work on"),
        ("cells.obs_names = ids[::-1]; return ALL, notes", "its 6 cells were reordered or renamed"),
        ("return ALL, {'a': np.float64('nan')}", "notes: a: nan is nothing that JSON has"),
        ("return ALL, {'a': [Path('/tmp')]}", "notes: a: PosixPath '/tmp' is nothing that JSON has"),
        ("return ALL, {'a': {1}}", "notes: a: set '{1}' is nothing"),
        ("return ALL, {'a': b'1'}", "notes: a: bytes"),
        ("return ALL, {'a': {1: 2}}", "notes: a: the key 1 is int, not text"),
        ("return ALL, {'a': 1j * np.ones(1)}", "notes: a: complex"),
        ("notes['a'] = notes; return ALL, notes", "notes: a: a: a:"),
        ("return ALL, {'a': '\\udcff'}", "notes: a: str"),
        ("return ALL, {'comparable': 'no'}", "mine on blood: notes: comparable: should be a valid boolean, got 'no'"),
        ("return ALL, {'reason': 'x' * 501}", "notes: reason: string should have at most 500 characters"),
        ("return ALL, {'n_genes': 1.5}", "notes: n_genes: should be a valid integer"),
        ("return ALL, {'base': 'words'}", "notes: base belongs to fine-tuned embeddings"),
        ("x = 1\n    raise KeyError('weights')", "models/mine.py, line 8: KeyError: 'weights'"),
        ("return np.linalg.inv(ALL), notes", "models/mine.py, line 7: numpy.linalg.LinAlgError: Last 2 dimensions"),
        ("open('weights.bin')", "models/mine.py, line 7: FileNotFoundError: [Errno 2] No such file or directory"),
        ("raise ValueError('a\\nb' * 1000)", "models/mine.py, line 7: ValueError: a ba b"),
        ("sys.exit()", "models/mine.py, line 7: SystemExit"),
        ("assert False", "models/mine.py, line 7: AssertionError"),
    ],
)  # fmt: skip
def test_anything_else_is_one_line(body: str, message: str) -> None:
    assert_refused(run(body), message, 1)


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        (CODE.replace("ALL =", "ALL ="), 1, "models/mine.py, line 7: NameError: name 'BODY' is not defined"),
        (CODE.replace("def embed(cells", "def embed(cells("), 1, "models/mine.py, line 5: SyntaxError: "),
        ("import no_such_package", 1, "models/mine.py, line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1 / 0", 1, "models/mine.py, line 1: ZeroDivisionError"),
        ("\x00", 1, "models/mine.py: SyntaxError: source code string cannot contain null bytes"),
        (CODE.replace("(cells, folder, config, device)", "(cells)"), 1, "models/mine.py: TypeError: embed() takes 1 p"),
        (
            CODE.replace("ALL =", "embed = 1\nModel = dict #").replace("def embed", "def f"),
            2,
            "has no embed; models/ex",
        ),
        (CODE.replace("ALL =", "Model = dict #"), 2, "Model should derive from genept.engines.config.ModelConfig"),
    ],
)
def test_code_that_cannot_run_is_one_line(code: str, exit_code: int, message: str) -> None:
    Path("models/mine.py").write_text(code)
    assert_refused(CliRunner().invoke(main, ["blood", "mine"]), message, exit_code)


def assert_refused(result: Result, message: str, exit_code: int) -> None:
    assert result.exit_code == exit_code and message in result.output, result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1 and len(result.output) < 600
    assert not Path("data/blood/embeddings").exists()
