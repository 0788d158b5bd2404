"""A tiny finished project, stages that run on it in forks, and ways to spoil the files that stages hand each other."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from genept.core import files
from tests import forks, helpers
from tests.annotation import made as annotated
from tests.datasets import made as labelled

SECONDS, WAIT, BYTES = 30, 120, 3 << 30  # on the processor, by the clock, of memory: a stage that takes more is ended
N_CELLS, N_GENES = 60, 40
GRID = {"custom": ["plain"], "controls": ["random_w"], "genept_w": ["text_w"], "finetuned": ["genept_w_ft"]}
STAGES = """
fetch reference, fetch dataset mine, fetch dataset tissue, fetch dataset parts, fetch encoder text_w
fetch encoder released, fetch model text_s, annotate mine, annotate tissue, annotate parts
label mine, label tissue, label parts, vectors text_w, pretrain scgpt_t, pretrain gf_t
embed mine plain, embed mine random_w, embed mine text_w
finetune mine genept_w_ft --from text_w, evaluate mine, plot mine
"""
EARLIER = ("metrics/answer.md", "plots/report.html", "data/mine/embeddings/text_s.npy")  # of outputs that no case reads


class Server:
    """A process with all imports, forks of which are stages."""

    def __init__(self, folder: Path) -> None:
        self.address, self.output = folder / "socket", folder / "output"
        self.environment = {**os.environ, "NO_COLOR": "1"}
        self.environment |= {"STAGE_SECONDS": str(SECONDS), "STAGE_WAIT": str(WAIT), "STAGE_BYTES": str(BYTES)}
        self.environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self.environment |= {"NUMBA_THREADING_LAYER": "workqueue", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "10000"}
        command = [sys.executable, forks.__file__, os.fspath(self.address), os.fspath(helpers.ROOT)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, **pipes, env=self.environment, cwd=folder)
        assert self.process.stdout is not None and self.process.stdout.readline() == b"ready\n"

    def run(self, folder: Path, stage: str, *arguments: str) -> tuple[int | str, str]:
        """Run a stage; return its exit status, or what became of it, and what it wrote."""
        request = json.dumps([[f"stages.{stage}", *arguments], os.fspath(folder), self.environment]).encode()
        with socket.socket(socket.AF_UNIX) as server, self.output.open("wb") as stream:
            server.connect(os.fspath(self.address))
            streams = [stream.fileno()] * 3
            socket.send_fds(server, [len(request).to_bytes(8, "big")], streams)
            server.sendall(request)
            answer = server.recv(1)
        text = self.output.read_text(encoding="utf-8", errors="replace")
        return answer[0] if answer else "killed, or endless", text

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def local(*names: str) -> dict[str, Any]:
    return {"kind": "local", "folder": "data/manual", "files": {Path(name).name: {"path": name} for name in names}}


def write_inputs() -> None:
    """Write what a user has before the first stage, into the working folder."""
    manual, genes = Path("data/manual"), annotated.symbols()
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    helpers.write_counts(manual / "mine/raw.h5ad", genes[:N_GENES], N_CELLS, seed=1)
    (manual / "tissue").mkdir()
    annotated.cells()[:120].copy().write_h5ad(manual / "tissue/raw.h5ad")
    annotated.write_markers(manual / "tissue/markers.tsv")
    helpers.write_encoder(manual / "encoder", [f"{gene}: protein" for gene in genes])
    (manual / "encoder/genes_ncbi.py").write_text("GENEID2NT = {\n}\n", encoding="utf-8")
    shutil.copy(helpers.HGNC, manual / "hgnc.tsv")
    vectors = {gene: [float(row), 1.0, -1.0] for row, gene in enumerate(genes)}
    (manual / "released.pickle").write_bytes(pickle.dumps(vectors))
    parts = manual / "parts"
    labelled.write_tenx(parts, labelled.counts_of(0), labelled.barcodes(0), "features.tsv.gz")
    table = pd.DataFrame(labelled.counts_of(1).T, index=labelled.GENES, columns=labelled.barcodes(1))
    labelled.write_text(parts / "dense.txt.gz", table.to_csv(sep="\t"))
    rows = [
        f"{name},{sample},{'AB'[i % 2]}" for s, sample in enumerate("xy") for i, name in enumerate(labelled.barcodes(s))
    ]
    (parts / "labels.csv").write_text("\n".join(["barcode,sample,kind", *rows]) + "\n")


def write_settings() -> None:
    obs = {"cell_type": "kind", "patient": "donor", "phenotype": "condition"}
    tenx = local(*(f"parts/{name}" for name in ("matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz")))
    tenx["files"] = {f"x/{name}": place for name, place in tenx["files"].items()}
    tenx["files"] |= local("parts/dense.txt.gz", "parts/labels.csv")["files"]
    encoder = [
        f"encoder/{name}"
        for name in ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors")
    ]
    mini, gf, head, control = (
        yaml.safe_load((helpers.ROOT / f"models/{name}.yaml").read_text(encoding="utf-8"))
        for name in ("scgpt_mini", "geneformer_mini", "genept_w_ft_minilm", "random_w")
    )
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    grid = {"datasets": ["mine"], "models": GRID, "pretrain": ["mine"], "ensemble": ["plain", "text_w"]}
    params |= {"threads": 1, "device": "cpu", "baseline": "plain", "grid": grid, "grids": {}}
    few: dict[str, Any] = {"repeats": 2, "kmeans": {"n_init": 1}}
    helpers.merge(params, {"evaluate": few, "protocols": {"authors": few}, "plot": {"n_epochs": 5}})
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    helpers.merge(params, {"annotate": annotated.SETTINGS})
    training = {"steps": 2, "batch_size": 4, "max_length": 16, "n_layers": 1, "n_heads": 2, "width": 8}
    helpers.write_settings(
        Path(),
        {"annotate": annotated.SETTINGS},
        {
            "reference": {"source": local("hgnc.tsv", "encoder/genes_ncbi.py")},
            "mine": {"title": "Mine", "note": "", "source": local("mine/raw.h5ad"), "obs": obs, "finetune": "phenotype",
                     "subset": {"n_cells": 40, "by": "patient", "seed": 0}},
            "tissue": annotated.dataset(title="Tissue", label_source="annotation",
                                        source=local("tissue/raw.h5ad", "tissue/markers.tsv")),
            "parts": {"title": "Parts", "note": "", "source": tenx, "samples": {"x": "x", "y": "dense.txt.gz"},
                      "labels": {"file": "labels.csv", "sample": "sample"},
                      "obs": {"cell_type": "kind", "patient": "sample"}},
        },
        {
            "plain": {"title": "Plain", "embed": {"n_components": 5}},
            "random_w": {**control, "draws": 2},
            "text_w": {"title": "GenePT-w", "engine": "genept_w", "source": local(*encoder),
                       "vectors": {"text": "name", "locus_types": ["gene with protein product"]}},
            "released": {"title": "Released", "engine": "genept_w", "source": local("released.pickle"),
                         "vectors": {"released": "released.pickle"}},
            "text_s": {"title": "GenePT-s", "engine": "genept_s", "source": local(*encoder)},
            "scgpt_t": {**mini, "pretrain": {**mini["pretrain"], **training, "asked_genes": 8}},
            "gf_t": {**gf, "pretrain": {**gf["pretrain"], **training}},
            "genept_w_ft": {**head, "finetune": {**head["finetune"], "epochs": 1}},
        },
    )  # fmt: skip
    shutil.copy(helpers.ROOT / "models/expression.py", "models/plain.py")


def build(folder: Path, server: Server) -> Path:
    """Make the project, and run every stage once in the order of the pipeline."""
    folder.mkdir()
    os.chdir(folder)
    write_inputs()
    write_settings()
    for stage in re.split(r"[,\n] *", STAGES.strip()):
        status, text = server.run(folder, *stage.split())
        assert status == 0, f"{stage}: {status}\n{text}"
    write_lock()
    for name in EARLIER:
        Path(name).write_bytes(b"earlier")
    return folder


def write_lock() -> None:
    """Write a dvc.lock of three stages, as DVC would."""
    steps = {
        "label@mine": ("data/mine.yaml", "data/mine/labelled/obs.csv"),
        "embed_custom@mine-plain": ("data/mine/labelled/obs.csv", "data/mine/embeddings/plain.npy"),
        "evaluate@mine": ("data/mine/embeddings/plain.npy", "metrics/predictions/mine.csv"),
    }
    stages = {}
    for name, paths in steps.items():
        deps, outs = (
            [{"path": path, "hash": "md5", "md5": hashlib.md5(Path(path).read_bytes()).hexdigest()}] for path in paths
        )
        stages[name] = {
            "cmd": f"python -m stages.{name}",
            "deps": deps,
            "params": {"params.yaml": {"seed": 0}},
            "outs": outs,
        }
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


class Copy:
    """A working copy of the finished project: what a case and its stage change in it, and how it is brought back."""

    def __init__(self, finished: Path, folder: Path) -> None:
        self.finished, self.folder = finished, shutil.copytree(finished, folder, symlinks=True)
        self.pristine = self.look()

    def look(self) -> dict[str, tuple[int, ...]]:
        """Return the kind of each file and folder; of what is no folder also size, times and inode."""
        found: dict[str, tuple[int, ...]] = {}
        folders = [""]
        for folder in folders:
            with os.scandir(f"{self.folder}/{folder}") as entries:
                for entry in entries:
                    said = entry.stat(follow_symlinks=False)
                    is_folder = entry.is_dir(follow_symlinks=False)
                    times = () if is_folder else (said.st_size, said.st_mtime_ns, said.st_ctime_ns, said.st_ino)
                    found[folder + entry.name] = (said.st_mode, *times)
                    if is_folder:
                        folders.append(f"{folder}{entry.name}/")
        return found

    def is_same(self, name: str) -> bool:
        """Say whether a file has the bytes that it has in the finished project."""
        path, before = self.folder / name, self.finished / name
        return path.is_file() and before.is_file() and path.read_bytes() == before.read_bytes()

    def restore(self) -> None:
        """Make everything as it was."""
        now = self.look()
        for name in sorted(now.keys() | self.pristine.keys()):
            if now.get(name) != self.pristine.get(name):
                path, before = self.folder / name, self.finished / name
                if os.path.lexists(path):
                    files.remove(path)
                if before.is_dir() and not before.is_symlink():
                    shutil.copytree(before, path, symlinks=True)
                elif os.path.lexists(before):
                    shutil.copy2(before, path, follow_symlinks=False)
        self.pristine = self.look()
