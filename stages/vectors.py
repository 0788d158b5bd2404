"""Make one vector per gene; ``python -m stages.vectors --help`` says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from genept.core import params as parameters
from genept.core.cli import stage
from genept.core.errors import InputError, ParamsError

MODELS = Path("models")
ENCODERS = Path("data/encoders")


@click.group()
def main() -> None:
    """Make one vector per gene, for GenePT-w: from text, from a file that somebody released, or as a control.

    All write models/MODEL/: vectors.npy (float32, one row per gene), genes.tsv (the gene of every row and the text
    that was embedded) and card.json (how they were made).
    """


@main.command()
@click.argument("model")
@stage
def text(params: dict[str, Any], model: str) -> None:
    """Embed a text about every gene by the text encoder of MODEL.

    MODEL is a name from params.yaml whose entry has vectors: {text: ...}. With `text: name` the encoder reads, for
    example, "CD19: CD19 molecule"; with `text: long` also the aliases and NCBI's designations; with `text: summary`
    the gene's summary in `summaries: FILE`, a file of data/encoders/MODEL/ (.json or .csv, may be .gz), and for a gene
    that has none the name, or with `without_summary: leave_out` nothing.

    If the entry has vectors: {released: FILE} instead, somebody has embedded the texts before: this is then the same
    as `released`.

    \b
    Example: python -m stages.vectors text genept_w_minilm
    """
    choices = parameters.entry(params, "models", model).get("vectors")
    if isinstance(choices, dict) and "released" in choices:
        return take_released(params, model)
    kind = choices.get("text") if isinstance(choices, dict) else None

    from genept.core import files
    from genept.data import gene_vectors, hgnc
    from genept.engines.genept_w.vectors import texts

    if not isinstance(choices, dict) or kind not in texts.KINDS:
        raise ParamsError(f"params.yaml: models.{model}: vectors.text must be one of {', '.join(texts.KINDS)}")
    folder = ENCODERS / model
    hgnc_genes = hgnc.read()
    genes = texts.choose(hgnc_genes, choices.get("locus_types"))
    about_summaries: dict[str, Any] = {}
    if kind == "long":
        designations = texts.read_designations()
        lines = [texts.long(gene, designations) for gene in genes]
    elif kind == "summary":
        from genept.engines.genept_w.vectors import summaries

        found = summaries.read(folder / file_name(model, choices, "summaries"), hgnc_genes)
        without = choices.get("without_summary")
        genes, lines, n_without = texts.with_summary(genes, found.texts, without)
        if not genes:
            raise InputError(f"models.{model}: none of the chosen genes has a summary in {choices['summaries']}")
        about_summaries = {
            "summaries": found.card,
            "without_summary": without or "name",
            "n_without_summary": n_without,
        }
    else:
        lines = [texts.name(gene) for gene in genes]

    from genept.engines.encoder.text_encoder import TextEncoder

    encoder = TextEncoder(folder, params.get("device", "auto"))
    encoded = encoder.encode(lines, label="gene names")
    rows = [
        gene_vectors.VectorGene(gene.symbol, gene.ensembl_id, int(n_tokens), bool(truncated), line)
        for gene, n_tokens, truncated, line in zip(genes, encoded.n_tokens, encoded.truncated, lines, strict=True)
    ]
    card = {
        "vectors": "text",
        "text": kind,
        **about_summaries,
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
@stage
def released(params: dict[str, Any], model: str) -> None:
    """Take gene vectors that somebody released, for MODEL.

    MODEL is a name from params.yaml whose entry has vectors: {released: FILE}. FILE is a pickle from gene symbols to
    vectors, such as GenePT's, in data/encoders/MODEL/. Nothing in it is run. Old symbols become HGNC's approved ones;
    what was renamed, collided or was dropped is in models/MODEL/card.json.

    \b
    Example: python -m stages.vectors released genept_w_ada
    """
    take_released(params, model)


def take_released(params: dict[str, Any], model: str) -> None:
    """Write models/MODEL/ from the released file of the model's entry."""
    entry = parameters.entry(params, "models", model)

    from genept.data import gene_vectors, hgnc
    from genept.engines.genept_w.vectors import released

    name = file_name(model, entry.get("vectors"), "released")
    path = ENCODERS / model / name
    vectors, genes, account = released.make(path, hgnc.read())
    card = {"vectors": "released", "source": origin(entry.get("source"), name), **account}
    gene_vectors.write(MODELS / model, vectors, genes, card)
    click.echo(
        f"{model}: {len(genes)} genes, {vectors.shape[1]} dimensions; {account['n_renamed']} under a newer symbol, "
        f"{account['n_collisions']} under their own because the newer has a vector, {account['n_dropped']} dropped"
    )


def origin(source: Any, name: str) -> dict[str, Any]:
    """Say where a file of a source comes from; not its path on this machine, so that equal files give equal cards."""
    whole = source if isinstance(source, dict) else {}
    parts = {**whole, **((whole.get("files") or {}).get(name) or {})}
    left_out = ("files", "path", "sha256", "candidates", "optional")
    return {key: value for key, value in parts.items() if key not in left_out}


def file_name(model: str, choices: Any, key: str) -> str:
    """Return the name of a file of data/encoders/MODEL/ that the model's entry gives under `vectors`."""
    name = choices.get(key) if isinstance(choices, dict) else None
    if not isinstance(name, str) or not name:
        raise ParamsError(
            f"params.yaml: models.{model}: vectors.{key} must be the name of a file in {ENCODERS / model}"
        )
    return name


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

    from genept.data import gene_vectors
    from genept.engines.genept_w.vectors import controls

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
