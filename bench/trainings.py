"""How much the training moves a trained model's scores: ``make trainings`` writes models/trainings.csv.

Every model that the grid trains is trained anew with several seeds, each on this processor's instructions and on those
of an older one, because hundreds of steps amplify the last bits in which processors differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import yaml

from genept.core import files
from genept.core.cli import progress, stage
from genept.core.errors import InputError
from genept.core.params import PATH, Params
from genept.data import cells
from genept.engines import config as models

CACHE = cells.DATA / "cache/trainings"
TABLE = models.MODELS / "trainings.csv"
NATIVE, AVX2 = "native", "avx2"
PROCESSORS = {  # what plays a processor: variables of torch, its two libraries, and of numpy's
    NATIVE: {},
    AVX2: {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
}
CODE = ("genept/engines/network/*.py", "genept/engines/pretraining.py", "genept/data/expression.py")


class Training(NamedTuple):
    """One training of a model."""

    model: str
    number: int  # 0: with the model's own seed
    seed: int
    processor: str

    @property
    def name(self) -> str:
        """Its column in the table."""
        return f"{self.number}-{self.processor}"

    @property
    def folder(self) -> Path:
        """Where its embeddings are kept."""
        return CACHE / self.model / f"{self.seed}-{self.processor}"


def trainings(params: Params, n_seeds: int) -> Iterator[Training]:
    """Yield the trainings, the model's own seed first; a study that stops early has whole seeds."""
    for number in range(n_seeds):
        for model in [*params.grid.models.scgpt_trained, *params.grid.models.geneformer_trained]:
            seed = models.read(model).pretrain.seed + number
            yield from (Training(model, number, seed, processor) for processor in PROCESSORS)


def embed(training: Training, params: Params) -> None:
    """Train a model and embed the grid's datasets, unless the cache has that; the working tree stays as it is."""
    made_from = digest(training, params)
    stamp = training.folder / "made_from"
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        lay_out(project, training, params)
        run(project, training, "pretrain", training.model)
        for dataset in params.grid.datasets:
            run(project, training, "embed", dataset, training.model)
        with files.replacing_folder(training.folder) as folder:
            for dataset in params.grid.datasets:
                for suffix in ("npy", "json"):
                    made = project / cells.DATA / dataset / "embeddings" / f"{training.model}.{suffix}"
                    shutil.copyfile(made, folder / f"{dataset}.{suffix}")
            (folder / stamp.name).write_text(made_from)


def lay_out(project: Path, training: Training, params: Params) -> None:
    """Make a folder in which stages train: copies of the settings, with the training's seed, and links to the cells."""
    shutil.copyfile(PATH, project / PATH)
    (project / models.MODELS).mkdir()
    config = yaml.safe_load(models.path(training.model).read_text(encoding="utf-8"))
    config["pretrain"]["seed"] = training.seed
    (project / models.path(training.model)).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    for path in inputs(params):
        if not path.is_file():
            raise InputError(f"{path}: no such file; run `make repro` first, the study trains on its cells")
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).symlink_to(path.resolve())
    for dataset in params.grid.datasets:
        shutil.copyfile(cells.DATA / f"{dataset}.yaml", project / cells.DATA / f"{dataset}.yaml")


def inputs(params: Params) -> list[Path]:
    """Return the cells that models are trained on, then those that are embedded."""
    corpora = [cells.DATA / "corpus" / dataset / "cells.h5ad" for dataset in params.grid.pretrain]
    tables = ("cells.h5ad", "obs.csv")
    return corpora + [cells.labelled(dataset) / name for dataset in params.grid.datasets for name in tables]


def run(project: Path, training: Training, name: str, *arguments: str) -> None:
    """Run a stage in a project as on the training's processor; `InputError` with its last line if it fails."""
    command = [sys.executable, "-m", f"stages.{name}", *arguments]
    done = subprocess.run(command, cwd=project, env=play(training.processor), capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{training.model}, seed {training.seed}, {training.processor}: {name} failed: {reason}")


def digest(training: Training, params: Params) -> str:
    """Return a hash of what a training's embeddings come from: settings, code, torch and the cells."""
    from importlib.metadata import version

    config = models.read(training.model).model_dump(mode="json", include={"engine", "pretrain", "embed"})
    parts: list[Any] = [config, training.seed, training.processor, params.threads, version("torch")]
    patterns: Sequence[str] = (*CODE, f"genept/engines/{config['engine']}/*.py")
    code = [path for pattern in patterns for path in sorted(files.ROOT.glob(pattern))]
    parts += [files.sha256(path) for path in [*code, *inputs(params)]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def play(processor: str) -> dict[str, str]:
    """Return the environment of a process that computes as on a processor and finds this repository's code."""
    return os.environ | PROCESSORS[processor] | {"PYTHONPATH": str(files.ROOT)}


@click.command()
@click.option("--seeds", "n_seeds", type=click.IntRange(min=2), default=4, show_default=True, help="Of each model.")
@stage
def main(params: Params, n_seeds: int) -> None:
    """Train the grid's trained models with several seeds on two instruction sets and score every training.

    Reads the cells and embeddings of the last run, writes models/trainings.csv. Trainings are kept in
    data/cache/trainings, so that a study that was broken off resumes.
    """
    from bench import training_scores

    planned = list(trainings(params, n_seeds))
    for training in progress(planned, "trainings", unit="training"):
        embed(training, params)
        click.echo(f"{training.model}, seed {training.seed}, {training.processor}: embedded")
    for processor in PROCESSORS:
        command = [sys.executable, "-m", "bench.training_scores", processor, str(n_seeds)]
        if subprocess.run(command, env=play(processor)).returncode:
            raise InputError(f"{processor}: scoring failed")
    table = training_scores.table(planned, params)
    with files.replacing(TABLE) as path:
        table.to_csv(path, index=False, lineterminator="\n")
    click.echo(training_scores.summary(table))


if __name__ == "__main__":
    main(prog_name="python -m bench.trainings")
