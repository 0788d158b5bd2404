"""What stages hand each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.malformed.case import (
    EMBED,
    EVALUATE,
    EXPORT,
    FINETUNE,
    LABEL,
    Case,
    refused,
    spoil,
)
from tests.malformed.changes import (
    CELLS,
    NPY,
    RAW,
    a_list,
    bad_crc,
    corpus,
    dangling,
    deep,
    device,
    directory,
    empty,
    extra_field,
    fifo,
    first_column_missing,
    infinite_numbers,
    latin1,
    missing,
    nan_values,
    no_keys,
    noise,
    null,
    null_values,
    only_titles,
    open_quote,
    other_cells,
    other_titles,
    payload,
    row_missing,
    row_repeated,
    rows_swapped,
    surplus_fields,
    text_values,
    texts_for_numbers,
    titles_repeated,
    truncated,
)


def damaged_cache() -> None:
    """Damage joblib's records of the cached functions of `evaluate`."""
    records = [*Path("data/cache/evaluate").rglob("func_code.py")]
    for path in records:
        noise(path)
    assert records


def negated(cells: Any) -> None:
    cells.X = -cells.X


def unnamed(cells: Any) -> None:
    cells.var["ensembl_id"] = ""


FILE = (noise, fifo)
MORE = (empty, truncated, directory, dangling, device)
JSON = (*FILE, a_list, no_keys)
TABLE = (*FILE, latin1, other_titles)
SOME_NPY = {name: NPY[name] for name in ("fewer_rows", "nan")}
ANNOTATION, ENCODER = "data/tissue/annotation", "data/encoders/text_w"
HANDED_ON = [
    *spoil(LABEL, "params.yaml", (*FILE, *MORE, latin1, a_list), 2),
    *spoil(LABEL, "data/mine.yaml", (fifo, null), 2),
    *spoil(f"{EMBED} text_w", "models/text_w.yaml", (noise, a_list), 2),
    *spoil("fetch reference", "data/reference.yaml", (noise, no_keys), 2),
    *spoil("fetch dataset mine", "data/hashes.lock.yaml", (*FILE, directory, a_list)),
    *spoil(LABEL, "data/reference/hgnc.tsv", (*FILE, *MORE, latin1, other_titles, only_titles)),
    *spoil("annotate tissue", "data/tissue/raw/markers.tsv", (*TABLE, only_titles, titles_repeated)),
    *spoil("annotate tissue", "data/tissue/raw/raw.h5ad", FILE),
    *spoil(LABEL, str(RAW), (*FILE, *MORE)),
    *spoil("label parts", "data/parts/raw/labels.csv", (*TABLE, surplus_fields)),
    *spoil("label parts", "data/parts/raw/dense.txt.gz", (*FILE, truncated)),
    *spoil("label parts", "data/parts/raw/x/matrix.mtx.gz", FILE, text="raw/x"),
    *spoil("label parts", "data/parts/raw/x/barcodes.tsv.gz", FILE, text="raw/x"),
    *spoil("vectors text_w", f"{ENCODER}/config.json", (*JSON, deep), text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/tokenizer.json", JSON, text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/sentence_bert_config.json", (noise, a_list, null), text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/model.safetensors", (*FILE, truncated), text="text_w"),
    *spoil("vectors released", "data/encoders/released/released.pickle", (*FILE, truncated, device, payload)),
    *spoil(f"{EMBED} plain", str(CELLS), (*FILE, *MORE)),
    *spoil("pretrain scgpt_t", "data/corpus/mine/cells.h5ad", (fifo, truncated)),
    *refused("pretrain scgpt_t", "corpus", {"negative": corpus(negated)}, "cells.h5ad"),
    *refused("pretrain gf_t", "corpus", {"negative": corpus(negated), "no_ids": corpus(unnamed)}, "data/corpus/mine"),
    *spoil(
        EVALUATE,
        "data/mine/labelled/obs.csv",
        (*TABLE, empty, first_column_missing, only_titles, row_repeated),
        text="obs.csv",
    ),
    *spoil(
        EVALUATE,
        "data/mine/labelled/obs.csv",
        (row_missing, rows_swapped, extra_field, other_cells, open_quote),
        text="obs.csv",
    ),
    *spoil(FINETUNE, "data/mine/labelled/obs.csv", (noise, row_missing), text="data/mine/labelled"),
    *spoil(EXPORT, "data/mine/labelled/obs.csv", (noise, row_missing, row_repeated), text="data/mine/labelled"),
    *spoil("plot mine", "data/mine/labelled/obs.csv", (fifo, row_missing), text="obs.csv"),
    *spoil(f"{EMBED} text_w", "models/text_w/genes.tsv", (*TABLE, row_repeated, row_missing)),
    *spoil(f"{EMBED} text_w", "models/text_w/vectors.npy", (*FILE, *MORE)),
    *spoil(f"{EMBED} text_w", "models/text_w/vectors.npy", SOME_NPY, text="vectors|text_w"),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/best_model.pt", (*FILE, truncated, payload, bad_crc)),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/args.json", (*JSON, deep, text_values)),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/vocab.json", (*FILE, nan_values)),
    *spoil(f"{EMBED} gf_t", "models/gf_t/config.json", (*FILE, null_values), text="gf_t"),
    *spoil(f"{EMBED} gf_t", "models/gf_t/model.safetensors", FILE),
    *spoil(f"{EMBED} gf_t", "models/gf_t/token_dictionary.pkl", (*FILE, payload)),
    *spoil(EVALUATE, "data/mine/embeddings/plain.npy", (*FILE, truncated)),
    *spoil(EVALUATE, "data/mine/embeddings/plain.npy", NPY),
    *spoil(EVALUATE, "data/mine/embeddings/plain.json", (*JSON, deep, null_values)),
    *spoil("plot mine", "data/mine/embeddings/plain.npy", SOME_NPY),
    *spoil(EXPORT, "data/mine/embeddings/plain.npy", SOME_NPY),
    *spoil(FINETUNE, "data/mine/embeddings/text_w.npy", SOME_NPY),
    *spoil("label tissue", f"{ANNOTATION}/cells.csv", (*TABLE, row_missing, row_repeated), text="annotation"),
    *spoil("label tissue", f"{ANNOTATION}/summary.json", JSON, text="annotation"),
    *spoil("plot tissue", f"{ANNOTATION}/clusters.csv", (other_titles, texts_for_numbers), text="annotation"),
    *spoil("plot tissue", f"{ANNOTATION}/umap.csv", (infinite_numbers, row_repeated), text="annotation"),
    *spoil("report", "metrics/full/mine/plain.csv", (*TABLE, truncated, infinite_numbers)),
    *spoil("report", "metrics/scores/mine/plain.json", (fifo, a_list, nan_values)),
    *spoil("report", "metrics/verification/mine.json", (*JSON, deep, null_values)),
    *spoil("report", "metrics/comparisons/mine/models.csv", (*FILE, other_titles, texts_for_numbers)),
    *spoil("report", "metrics/comparisons/mine/text.csv", (fifo, texts_for_numbers)),
    *spoil("report", "metrics/predictions/mine.csv", (other_titles, row_repeated)),
    *spoil("report", "metrics/probabilities/mine/phenotype/plain.csv", (noise, texts_for_numbers)),
    *spoil("report", "plots/cells/mine.csv", (fifo, texts_for_numbers)),
    *spoil("report", "dvc.lock", (noise, no_keys), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "dvc.lock", (*JSON, empty), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "metrics/predictions/mine.csv", FILE),
    *spoil("verify", "dvc.lock", (*FILE, null), text="dvc.lock"),
    Case("dvcignore-latin1", "verify", lambda: Path(".dvcignore").write_bytes(b"\xe9\xff"), 1, ".dvcignore"),
    Case("cache-noise", EVALUATE, damaged_cache, 0),
    *spoil("verify", "data/mine/labelled/obs.csv", (empty, missing, fifo), text="dvc.lock"),
]
