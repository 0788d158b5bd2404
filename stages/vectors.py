"""Make one vector per gene; ``python -m stages.vectors --help`` says how."""

from __future__ import annotations

from pathlib import Path

import click

from genept.core.cli import MODEL, say, stage
from genept.core.errors import ParamsError
from genept.core.params import Params
from genept.engines import config as models

ENCODERS = Path("data/encoders")


@click.command()
@click.argument("model", type=MODEL)
@stage
def main(params: Params, model: str) -> None:
    """Make one vector per gene for MODEL, a GenePT-w model: models/MODEL.yaml says how under `vectors`.

    With `text: name` an encoder reads, for example, "CD19: CD19 molecule"; with `text: long` also the aliases and
    NCBI's designations; with `text: summary` the gene's summary in the file `summaries`, and for a gene that has none
    the name, or with `without_summary: leave_out` nothing. The encoder is the one in data/encoders/MODEL/, or with
    `encoder: openai` an embeddings API. With `released: FILE` somebody has embedded the texts before: FILE is a pickle
    from gene symbols to vectors, such as GenePT's. Nothing in it is run, and old symbols become HGNC's approved ones.
    Both files are in data/encoders/MODEL/.

    Writes models/MODEL/: vectors.npy (float32, one row per gene), genes.tsv (the gene of every row and the text that
    was embedded) and card.json (how they were made, and which genes were renamed or dropped).

    \b
    Example: python -m stages.vectors genept_w_minilm
    """
    config = models.read(model)
    settings = getattr(config, "vectors", None)
    if settings is None:
        raise ParamsError(f"{models.path(model).as_posix()}: has no vectors, so there are none to make")

    from genept.data import gene_vectors, hgnc
    from genept.engines.gene_vectors import released, texts

    folder = ENCODERS / model
    if settings.released:
        made = released.make(settings, folder, hgnc.read())
    else:
        made = texts.make(settings, folder, hgnc.read(), params.device)
    gene_vectors.write(models.MODELS / model, made.vectors, made.genes, made.card)
    say(f"{model}: {len(made.genes)} genes, {made.vectors.shape[1]} dimensions; {made.summary}")


if __name__ == "__main__":
    main(prog_name="python -m stages.vectors")
