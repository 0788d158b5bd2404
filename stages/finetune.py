"""Fine-tune an embedding to one annotation of a dataset.

Usage: ``python -m stages.finetune covid genept_w_ft_minilm --from genept_w_minilm``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genept.core import files
from genept.core import params as parameters
from genept.core.cli import stage
from genept.data import cells, embeddings


@click.command()
@click.argument("dataset")
@click.argument("model")
@click.option("--from", "base", required=True, help="The model whose embedding the head is fitted on.")
@stage
def main(params: dict[str, Any], dataset: str, model: str, base: str) -> None:
    """Train MODEL, a small head on the embedding of DATASET by another model, and write the embedding it makes.

    The head learns the annotation that `datasets.DATASET.finetune` names in params.yaml, from training cells only: the
    ones that `python -m stages.evaluate` trains on for that annotation. The embedding covers all cells; its notes list
    the cells the head has not seen. Written: models/MODEL/DATASET/ and data/DATASET/embeddings/MODEL.npy.
    """
    import numpy as np
    from safetensors.torch import save_file

    from genept.data import splits
    from genept.engines.finetuned import head, task, training
    from genept.metrics import choices

    options = head.read_choices(parameters.captioned_entry(params, "models", model), model)
    for section, name in (("datasets", dataset), ("models", base)):
        parameters.entry(params, section, name)
    seed, splitting, unknown = choices.read_seed(params), choices.read_split(params), choices.read_unknown(params)
    obs = cells.read_obs(dataset)
    label = task.label_of(params, dataset, obs)
    matrix = embeddings.read(dataset, base, list(obs.index)).astype(np.float32)
    labels = obs[label].to_numpy(dtype=str)
    split = splits.divide(obs, label, splits.cells_with(obs, label, unknown), splitting, seed)
    fitted = training.fit(matrix[split.train], labels[split.train], options, seed)

    unseen = np.setdiff1d(np.arange(len(obs)), split.train)
    card = {
        "dataset": dataset,
        "model": model,
        "from": base,
        "label": label,
        "classes": fitted.classes.tolist(),
        "head": options.kind,
        "n_train": len(split.train),
        "n_unseen": len(unseen),
        "train_accuracy": round(fitted.train_accuracy, 4),
        "seed": seed,
    }
    with files.replacing_folder(Path("models") / model / dataset) as folder:
        save_file(fitted.head.state_dict(), folder / "head.safetensors")
        files.write_json(folder / "card.json", card)
    notes = {key: value for key, value in card.items() if key not in ("dataset", "model")}
    base_notes = embeddings.read_notes(dataset, base)
    notes |= {key: base_notes[key] for key in ("comparable", "reason") if key in base_notes}
    projection = training.project(fitted.head, matrix)
    embeddings.write(dataset, model, projection, list(obs.index), {**notes, "unseen_cells": unseen.tolist()})
    click.echo(
        f"{dataset}, {model}: {label}, {len(split.train)} training cells, {len(fitted.classes)} classes, "
        f"training accuracy {fitted.train_accuracy:.3f}, {projection.shape[1]} dimensions"
    )


if __name__ == "__main__":
    main(prog_name="python -m stages.finetune")
