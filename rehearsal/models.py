"""The released models in miniature: in the layout of the real files, with few and random numbers."""

from __future__ import annotations

import functools
import json
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rehearsal.simulate import Panel

SCGPT = """
{"n_hvg": null, "pad_token": "<pad>", "input_style": "binned", "input_emb_style": "continuous", "n_bins": 51,
 "max_seq_len": 1200, "training_tasks": "both", "mask_ratio": [0.25, 0.5, 0.75], "batch_size": 32, "no_cls": true,
 "fast_transformer": true, "dropout": 0.2, "n_layers_cls": 3, "mask_value": -1, "pad_value": -2, "USE_CLS": false,
 "MVC": true, "USE_GENERATIVE_TRAINING": true, "embsize": 16, "nheads": 2, "d_hid": 16, "nlayers": 2}
"""  # args.json with small sizes
BERT = """
{"architectures": ["BertForMaskedLM"], "attention_probs_dropout_prob": 0.02, "gradient_checkpointing": false,
 "hidden_act": "relu", "hidden_dropout_prob": 0.02, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
 "model_type": "bert", "pad_token_id": 0, "position_embedding_type": "absolute", "transformers_version": "4.6.0",
 "type_vocab_size": 2, "use_cache": true}
"""  # Geneformer's config.json without the sizes
FIRST, SECOND = "GPT_3_5_gene_embeddings.pickle", "GenePT_emebdding_v2"  # of GenePT's releases: file, folder


@functools.cache
def genept(genes: Panel, seed: int) -> dict[str, bytes]:
    """Return the members of GenePT's zips that models are made of: lists of 1,536 and of 3,072 numbers by symbol."""
    rng = np.random.default_rng(seed)

    def vectors(names: list[str], width: int) -> bytes:
        found = rng.normal(size=(len(names), width))
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return pickle.dumps({name: row.tolist() for name, row in zip(names, found, strict=True)}, protocol=4)

    first = [symbol for i, symbol in enumerate(genes.symbols) if i % 4 != 3]  # the aorta lacks 5,665 of 23,331
    second = [symbol for i, symbol in enumerate(genes.symbols) if i % 9 > 1]  # and 5,344 of the second release
    return {
        FIRST: vectors(first, 1536),
        f"{SECOND}/GenePT_gene_embedding_ada_text.pickle": vectors(second, 1536),
        f"{SECOND}/GenePT_gene_protein_embedding_model_3_text.pickle.": vectors(second[::2], 3072),
    }


def scgpt(genes: Panel, seed: int) -> dict[str, bytes]:
    """Return args.json, vocab.json and best_model.pt, its attention under flash-attention's names."""
    import torch

    from genept.engines.scgpt import checkpoint

    args = json.loads(SCGPT)
    known = [symbol for i, symbol in enumerate(genes.symbols) if i % 11 != 10]
    vocab = {token: i for i, token in enumerate([*known, *checkpoint.SPECIAL_TOKENS])}
    settings = checkpoint.Args.model_validate(args)
    torch.manual_seed(seed)
    weights = {
        name.replace("in_proj_", "Wqkv."): torch.randn(shape) * 0.3
        for name, shape in checkpoint.shapes(settings, len(vocab)).items()
    }
    weights["flag_encoder.weight"] = torch.zeros(2, settings.embsize)
    weights["decoder.fc.0.weight"] = torch.zeros(settings.embsize, settings.embsize)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.write(Path(folder), args, vocab, weights)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def geneformer(genes: Panel, seed: int, version: int) -> dict[str, bytes]:
    """Return a checkpoint and the dictionaries, by their names in the release."""
    rng = np.random.default_rng(seed)
    special = ["<pad>", "<mask>", *(["<cls>", "<eos>"] if version > 1 else [])]
    known = [ident for i, ident in enumerate(genes.ensembl) if i % 9 != 8]
    tokens = {name: i for i, name in enumerate([*special, *known])}
    medians = {name: float(value) for name, value in zip(known, rng.gamma(2.0, 1.5, len(known)) + 0.1, strict=True)}
    aliases = {name: name for name in known} | {
        symbol.upper(): ident for symbol, ident in zip(genes.symbols, genes.ensembl, strict=True) if ident in medians
    }
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 2048 if version == 1 else 4096,
        "vocab_size": len(tokens),
    }
    config = {**json.loads(BERT), **sizes}
    files = {"config.json": json.dumps(config, indent=2).encode(), "model.safetensors": bert_weights(config, seed)}
    release = "gc30M" if version == 1 else "gc104M"
    dictionaries: dict[str, Any] = {
        "token_dictionary": tokens,
        "gene_median_dictionary": medians,
        "ensembl_mapping_dict": aliases,
    }
    return files | {
        f"{name}_{release}.pkl": pickle.dumps(content, protocol=4) for name, content in dictionaries.items()
    }


def bert_weights(config: dict[str, Any], seed: int) -> bytes:
    """Return random weights of a ``BertForMaskedLM`` under transformers' names, the head included."""
    from safetensors.numpy import save

    from genept.engines.network import bert

    rng = np.random.default_rng(seed)
    width, n_tokens = config["hidden_size"], config["vocab_size"]
    shapes = {f"bert.{name}": shape for name, shape in bert.shapes(config).items()} | {
        "cls.predictions.bias": (n_tokens,),
        "cls.predictions.transform.dense.weight": (width, width),
        "cls.predictions.transform.dense.bias": (width,),
        "cls.predictions.transform.LayerNorm.weight": (width,),
        "cls.predictions.transform.LayerNorm.bias": (width,),
    }
    weights = {name: np.asarray(rng.normal(size=shape) * 0.2, dtype=np.float32) for name, shape in shapes.items()}
    return save(weights, metadata={"format": "pt"})


def contents(name: str, places: Mapping[str, Any], genes: Panel, seed: int) -> dict[str, bytes]:
    """Return what each file of a model is; `places` says by file where the release has it."""
    if name.startswith("genept"):
        files = genept(genes, seed)
    elif name.startswith("scgpt"):
        files = scgpt(genes, seed)
    else:
        files = geneformer(genes, seed, 1 if name.endswith("v1") else 2)
    return {target: files[getattr(place, "member", None) or target] for target, place in places.items()}
