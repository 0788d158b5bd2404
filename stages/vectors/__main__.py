"""Make one vector per gene; ``python -m stages.vectors --help`` says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stages import params as parameters
from stages.cli import stage
from stages.errors import ParamsError

MODELS = Path("models")
ENCODERS = Path("data/encoders")


@click.group()
def main() -> None:
    """Make one vector per gene, for GenePT-w: from text, or as a control.

    Both write models/MODEL/: vectors.npy (float32, one row per gene), genes.tsv (the gene of every row and the text
    that was embedded) and card.json (how they were made).
    """


@main.command()
@click.argument("model")
@stage
def text(params: dict[str, Any], model: str) -> None:
    """Embed the name of every gene by the text encoder of MODEL.

    MODEL is a name from params.yaml whose entry has vectors: {text: ...}. With `text: name` the encoder reads, for
    example, "CD19: CD19 molecule"; with `text: long` also the aliases and NCBI's designations.

    \b
    Example: python -m stages.vectors text genept_w_minilm
    """
    choices = parameters.entry(params, "models", model).get("vectors")
    kind = choices.get("text") if isinstance(choices, dict) else None

    from stages import files, gene_vectors, hgnc
    from stages.vectors import texts

    if not isinstance(choices, dict) or kind not in texts.KINDS:
        raise ParamsError(f"params.yaml: models.{model}: vectors.text must be one of {', '.join(texts.KINDS)}")
    genes = texts.choose(hgnc.read(), choices.get("locus_types"))
    if kind == "long":
        designations = texts.read_designations()
        lines = [texts.long(gene, designations) for gene in genes]
    else:
        lines = [texts.name(gene) for gene in genes]

    from stages.networks.text_encoder import TextEncoder

    folder = ENCODERS / model
    encoder = TextEncoder(folder, params.get("device", "auto"))
    encoded = encoder.encode(lines, label="gene names")
    rows = [
        gene_vectors.VectorGene(gene.symbol, gene.ensembl_id, int(n_tokens), bool(truncated), line)
        for gene, n_tokens, truncated, line in zip(genes, encoded.n_tokens, encoded.truncated, lines, strict=True)
    ]
    card = {
        "vectors": "text",
        "text": kind,
        "locus_types": choices.get("locus_types"),
        "encoder_sha256": files.sha256(folder / "model.safetensors"),
        "pooling": "mean over tokens, unit length",
        "max_length": encoder.max_length,
        "n_truncated": int(encoded.truncated.sum()),
        "n_without_ensembl_id": sum(not gene.ensembl_id for gene in genes),
    }
    gene_vectors.write(MODELS / model, encoded.vectors, rows, card)
    click.echo(
        f"{model}: {len(rows)} genes, {encoder.n_dimensions} dimensions; {card['n_truncated']} texts were longer than "
        f"{encoder.max_length} tokens"
    )


@main.command()
@click.argument("model")
@click.option("--of", "base", required=True, help="The model whose text vectors the control is made from.")
@stage
def control(params: dict[str, Any], model: str, base: str) -> None:
    """Make gene vectors that mean nothing, for the control MODEL.

    MODEL is a name from params.yaml whose entry has `vectors: random` (random directions with the norms of the text
    vectors) or `vectors: shuffled` (the text vectors, dealt out to the genes at random). `seed` in params.yaml says
    which.

    \b
    Example: python -m stages.vectors control random_w --of genept_w_minilm
    """
    kind = parameters.entry(params, "models", model).get("vectors")
    parameters.entry(params, "models", base)
    if kind not in ("random", "shuffled"):
        raise ParamsError(f"params.yaml: models.{model}: vectors must be random or shuffled for a control")

    from stages import gene_vectors
    from stages.vectors import controls

    seed = params.get("seed", 0)
    vectors, genes = gene_vectors.read(MODELS / base)
    symbols = [gene.symbol for gene in genes]
    if kind == "random":
        vectors = controls.random(vectors, symbols, seed)
        rows = [gene._replace(n_tokens=0, truncated=False, text="") for gene in genes]
    else:
        drawn = controls.shuffled(symbols, seed)
        vectors = vectors[drawn]
        givers = [genes[row] for row in drawn]
        rows = [
            gene._replace(n_tokens=giver.n_tokens, truncated=giver.truncated, text=giver.text)
            for gene, giver in zip(genes, givers, strict=True)
        ]
    gene_vectors.write(MODELS / model, vectors, rows, {"vectors": kind, "of": base, "seed": seed})
    click.echo(f"{model}: {len(rows)} genes, {vectors.shape[1]} dimensions, {kind} with seed {seed}")


if __name__ == "__main__":
    main(prog_name="python -m stages.vectors")
