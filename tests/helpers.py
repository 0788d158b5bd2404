"""A whole project in miniature: this repository's own files with a tiny grid over small local data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from genept.core import cli

ROOT = Path(__file__).resolve().parent.parent
HGNC = ROOT / "tests/fixtures/hgnc_small.tsv"


def run(*command: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, with this interpreter's folder first on the PATH."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def clone(target: Path) -> Path:
    """Copy the working tree as git sees it (no ignored file) to `target`, as a repository of its own."""
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    for name in listing:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    run("git", "init", "-q", cwd=target)
    run("git", "config", "user.name", "Test", cwd=target)
    run("git", "config", "user.email", "test@example.org", cwd=target)
    return target


def record_bars(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[Any]:
    """Return a list of the progress bars that a module will show by `genept.core.cli.progress_bar`."""
    bars: list[Any] = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def progress_bar(*about: Any) -> Any:
        bars.append(cli.progress_bar(*about))
        return bars[-1]

    monkeypatch.setattr(module, "progress_bar", progress_bar)
    return bars


def write_counts(path: Path, symbols: list[str], n_cells: int, seed: int) -> None:
    """Write an h5ad of raw counts: three cell types with genes of their own, six donors, two conditions."""
    import anndata
    import pandas as pd
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    kinds = rng.integers(3, size=n_cells)
    donors = rng.integers(6, size=n_cells)
    rate = np.full((n_cells, len(symbols)), 0.4)
    for kind in range(3):
        rate[np.ix_(kinds == kind, np.arange(len(symbols)) % 3 == kind)] = 3.0
    rate[donors % 2 == 0, : len(symbols) // 4] *= 2.0
    obs = pd.DataFrame(
        {
            "kind": np.array(["B cell", "T cell", "Monocyte"])[kinds],
            "donor": [f"D{donor}" for donor in donors],
            "condition": np.where(donors % 2 == 0, "sick", "well"),
        },
        index=[f"cell{index}" for index in range(n_cells)],
    )
    counts = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=symbols)).write_h5ad(path)


def write_encoder(folder: Path, texts: list[str], seed: int = 0) -> None:
    """Write a random two-layer sentence encoder in the layout of all-MiniLM-L6-v2, its words taken from `texts`."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)


def write_settings(
    folder: Path,
    params: dict[str, Any] | None = None,
    datasets: dict[str, dict[str, Any]] | None = None,
    models: dict[str, dict[str, Any]] | None = None,
) -> None:
    """Write ``params.yaml``, ``data/<dataset>.yaml`` and ``models/<model>.yaml`` into a folder.

    `params` is merged into the ``params.yaml`` that is there, else the repository's; the other files are as given.
    """
    path = folder / "params.yaml"
    content = yaml.safe_load((path if path.exists() else ROOT / "params.yaml").read_text(encoding="utf-8"))
    merge(content, params or {})
    written = {path: content}
    written |= {folder / "data" / f"{name}.yaml": entry for name, entry in (datasets or {}).items()}
    written |= {folder / "models" / f"{name}.yaml": entry for name, entry in (models or {}).items()}
    for file, content in written.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def merge(base: dict[str, Any], change: dict[str, Any]) -> None:
    """Update nested mappings in place; lists, scalars and a `source` are replaced."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict) and key != "source":
            merge(base[key], value)
        else:
            base[key] = value
