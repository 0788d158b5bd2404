"""Fine-tune an embedding to one annotation of a dataset.

Usage: ``python -m stages.finetune covid genept_w_ft_minilm --from genept_w_minilm``
"""

from __future__ import annotations

import click

from genept.core import files
from genept.core.cli import say, stage
from genept.core.errors import ParamsError
from genept.core.params import Params
from genept.data import cells, embeddings
from genept.datasets import config as datasets
from genept.engines import config as engines


@click.command()
@click.argument("dataset")
@click.argument("model")
@click.option("--from", "base", required=True, help="The model whose embedding the head is fitted on.")
@stage
def main(params: Params, dataset: str, model: str, base: str) -> None:
    """Train MODEL, a small head on the embedding of DATASET by another model, and write the embedding it makes.

    The head learns the annotation that `finetune` in data/DATASET.yaml names (if it names none: cell_type, or else the
    first that there is, donors and batches last), from training cells only: those that evaluate trains on for it, of
    more than evaluate.sample.head_cells so many, drawn by seed. The notes beside the embedding list the cells held out,
    which it has not seen. Written: models/MODEL/DATASET/ and data/DATASET/embeddings/MODEL.npy.
    """
    settings, config = datasets.read(dataset), engines.read(model)
    obs = cells.read_obs(dataset)
    annotation: str = settings.finetune
    if "finetune" not in settings.model_fields_set:
        present = [name for name in cells.ANNOTATIONS if name in obs]
        annotation = min(present, key=lambda name: name in ("patient", "batch"), default=annotation)
    if config.engine != "finetuned":
        raise ParamsError(f"{engines.path(model)}: fine-tuning needs `engine: finetuned`, got {config.engine!r}")
    if annotation not in obs:
        raise ParamsError(
            f"{datasets.path(dataset)}: finetune: the dataset has no annotation {annotation!r}; "
            f"it has {', '.join(obs.columns) or 'none'}"
        )

    import numpy as np
    from safetensors.torch import save_file

    from genept.data import sampling, splits
    from genept.engines.finetuned import training

    matrix = embeddings.read(dataset, base, list(obs.index))
    scored = splits.scored_cells(obs, annotation)
    split = splits.divide(obs, annotation, scored, params.evaluate.split, params.scoring_seed)
    train, sample = split.train, params.evaluate.sample
    if order := sampling.order(len(obs), sample.above, params.scoring_seed):
        train = order.first(train, sample.head_cells)
    labels = obs[annotation].to_numpy()[train].astype(str)
    fitted = training.fit(np.array(matrix[train]), labels, config.finetune, params.scoring_seed)

    unseen = np.setdiff1d(np.arange(len(obs)), train)
    notes = {"base": base, "annotation": annotation, "classes": fitted.classes.tolist()}
    notes |= {"finetune": config.finetune.model_dump(), "n_train": len(train), "n_unseen": len(unseen)}
    notes |= {"train_accuracy": round(fitted.train_accuracy, 4), "seed": params.scoring_seed}
    with files.replacing_folder(engines.MODELS / model / dataset) as folder:
        save_file(fitted.head.state_dict(), folder / "head.safetensors")
        files.write_json(folder / "card.json", {"dataset": dataset, "model": model, **notes})
    base_notes = embeddings.read_notes(dataset, base)
    notes |= {key: base_notes[key] for key in ("comparable", "reason") if key in base_notes}
    with embeddings.writing(dataset, model, len(obs), cells.ids_digest(obs.index)) as writer:
        writer.notes = {**notes, "unseen_cells": unseen.tolist()}
        for projection in training.project_parts(fitted.head, matrix):
            writer.add(projection)
    say(
        f"{dataset}, {model}: {annotation}, {len(train)} training cells, {len(fitted.classes)} classes, "
        f"training accuracy {fitted.train_accuracy:.3f}, {writer.shape[-1]} dimensions"
    )


if __name__ == "__main__":
    main(prog_name="python -m stages.finetune")
