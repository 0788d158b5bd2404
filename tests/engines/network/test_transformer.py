"""The padding-free transformer against torch's own layers and attention, one sequence at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.engines.network import transformer
from genept.engines.network.transformer import Layer, Transformer

WIDTH, N_HEADS, N_HIDDEN = 24, 3, 40
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=12).map(lambda lengths: np.array(lengths))


def torchs_layers(n_layers: int, activation: str) -> torch.nn.ModuleList:
    torch.manual_seed(0)
    layers = torch.nn.ModuleList(
        torch.nn.TransformerEncoderLayer(WIDTH, N_HEADS, N_HIDDEN, 0.0, activation, batch_first=True)
        for _ in range(n_layers)
    )
    with torch.no_grad():
        for weight in layers.parameters():  # norms and biases, too, are to be none that change nothing
            weight.add_(0.2 * torch.randn_like(weight))
    return layers.eval()


def ours(layers: torch.nn.ModuleList, activation: str) -> Transformer:
    parts = ("self_attn.out_proj", "norm1", "linear1", "linear2", "norm2")
    names = ["self_attn.in_proj_weight", "self_attn.in_proj_bias"]
    names += [f"{part}.{kind}" for part in parts for kind in ("weight", "bias")]
    found = tuple(Layer(*(layer.get_parameter(name).detach() for name in names)) for layer in layers)
    return Transformer(found, N_HEADS, getattr(torch.nn.functional, activation), 1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@settings(max_examples=25)
@given(lengths=LENGTHS, n_layers=st.integers(1, 3))
def test_sequences_are_encoded_as_torchs_layers_encode_each_alone(
    activation: str, lengths: np.ndarray, n_layers: int
) -> None:
    layers = torchs_layers(n_layers, activation)
    network = ours(layers, activation)
    x = torch.randn(int(lengths.sum()), WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        everything = transformer.encode(network, x.clone(), lengths)
        firsts = transformer.encode(network, x.clone(), lengths, first_only=True)
        expected = []
        for sequence in x.split(lengths.tolist()):
            alone = sequence[None]
            for layer in layers:
                alone = layer(alone)
            expected.append(alone[0])
    torch.testing.assert_close(everything, torch.cat(expected), rtol=0, atol=5e-6)
    torch.testing.assert_close(firsts, torch.stack([rows[0] for rows in expected]), rtol=0, atol=5e-6)


def test_no_layer_leaves_the_tokens_as_they_are() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    assert torch.equal(transformer.encode(Transformer((), 1, torch.relu, 1e-5), x, np.array([2, 4])), x)


@given(lengths=LENGTHS, n_framing=st.integers(0, 1))
def test_means_are_those_of_every_sequence_without_its_frame(lengths: np.ndarray, n_framing: int) -> None:
    lengths = lengths + 2 * n_framing
    x = torch.randn(int(lengths.sum()), 5, dtype=torch.float64)
    expected = [part[n_framing : len(part) - n_framing].numpy().mean(axis=0) for part in x.split(lengths.tolist())]
    np.testing.assert_allclose(transformer.means(x, lengths, n_framing).numpy(), expected, rtol=0, atol=1e-12)
