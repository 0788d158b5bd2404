"""A server on this machine from which the tiny grid is downloaded, and the settings of that grid."""

from __future__ import annotations

import csv
import hashlib
import os
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests import helpers

ENCODER_FILES = ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors")
OWN_FILE = "data/manual/notes.txt"


class Site:
    """A server of the files of a folder, which counts what it is asked for before it sends anything."""

    def __init__(self, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[self.path] += 1
                super().do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        folder.mkdir(parents=True)
        self.folder = folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=os.fspath(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def source(self, *names: str, **targets: str) -> dict[str, Any]:
        """Return the source of files of the folder, under their own names or others, with their sha256."""
        base = f"http://127.0.0.1:{self.server.server_port}"
        files = {}
        for target, name in [*((Path(name).name, name) for name in names), *targets.items()]:
            digest = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            files[target.replace("_h5ad", ".h5ad")] = {"url": f"{base}/{name}", "sha256": digest}
        return {"kind": "http", "files": files}


def symbols() -> list[str]:
    with helpers.HGNC.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    return [row["Approved symbol"] for row in rows if row["Locus type"] == "gene with protein product"][:90]


def dataset(name: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "title": f"The cells of {name}",
        "note": "made up",
        "source": source,
        "obs": {"cell_type": "kind", "patient": "donor", "phenotype": "condition"},
        **more,
    }


def tiny(site: Site) -> dict[str, dict[str, Any]]:
    """Return the settings of the tiny grid: `params`, `datasets` and `models`."""
    mini = yaml.safe_load((helpers.ROOT / "models/scgpt_mini.yaml").read_text(encoding="utf-8"))
    head = yaml.safe_load((helpers.ROOT / "models/genept_w_ft_minilm.yaml").read_text(encoding="utf-8"))
    models: dict[str, list[str]] = {
        "custom": ["expression"],
        "controls": ["random_w"],
        "genept_w": ["genept_w_tiny"],
        "genept_s": [],
        "scgpt": [],
        "geneformer": [],
        "scgpt_trained": ["scgpt_tiny"],
        "geneformer_trained": [],
        "finetuned": ["genept_w_ft_tiny"],
    }
    grid = {
        "datasets": ["alpha"],
        "models": models,
        "pretrain": ["alpha"],
        "ensemble": ["scgpt_tiny", "genept_w_tiny", "random_w", "expression"],  # four: lists are read whole
    }
    few = {**models, "controls": [], "scgpt_trained": [], "finetuned": []}
    small = {"datasets": ["alpha"], "models": few, "pretrain": [], "ensemble": []}
    source = site.source(raw_h5ad="alpha.h5ad")
    source["files"]["notes.txt"] = {"kind": "local", "path": OWN_FILE, "optional": True}
    subset = {"n_cells": 80, "by": "patient", "seed": 0}
    return {
        "params": {"threads": 1, "grid": grid, "grids": {"tiny": grid, "small": small}, "plot": {"n_epochs": 20}},
        "datasets": {
            "reference": {"source": [site.source("hgnc.tsv", "genes_ncbi.py")]},
            "alpha": dataset("alpha", source, subset=subset, finetune="phenotype"),
        },
        "models": {
            "expression": {"title": "Expression", "embed": {"n_components": 10}},
            "genept_w_tiny": {
                "title": "GenePT-w, tiny",
                "engine": "genept_w",
                "source": site.source(*(f"encoder/{name}" for name in ENCODER_FILES)),
                "vectors": {"text": "name", "locus_types": ["gene with protein product"]},
                "embed": {"divide_by": "n_genes", "unit_norm": True},
            },
            "scgpt_tiny": {
                **mini,
                "title": "scGPT, tiny",
                "pretrain": {**mini["pretrain"], "steps": 5, "max_length": 24, "width": 16, "n_layers": 1},
                "embed": {**mini["embed"], "max_length": 40},
            },
            "genept_w_ft_tiny": {**head, "finetune": {**head["finetune"], "epochs": 2}},
        },
    }
