"""Control vectors: random directions, and the vectors of other genes. How a model uses them is in `test_command`."""

from __future__ import annotations

import numpy as np

from genept.engines.genept_w import controls

SYMBOLS = [f"G{i}" for i in range(4000)]


def test_random_directions_are_uniform_and_have_the_norms_of_the_vectors() -> None:
    vectors = np.random.default_rng(1).gamma(2.0, size=(4000, 1)) * np.ones(8)
    noise = controls.random(vectors, SYMBOLS, seed=3)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1, keepdims=True), norms)
    np.testing.assert_allclose((noise / norms).mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose((noise / norms).T @ (noise / norms) / 4000, np.eye(8) / 8, atol=0.01)


def test_controls_follow_the_seed_and_not_the_order_of_rows() -> None:
    vectors = np.random.default_rng(1).normal(size=(4000, 4))
    order = np.random.default_rng(2).permutation(4000)
    reordered = [SYMBOLS[i] for i in order]
    for seed in (5, 6):
        noise, dealt = controls.random(vectors, SYMBOLS, seed), vectors[controls.shuffle(SYMBOLS, seed)]
        np.testing.assert_allclose(controls.random(vectors[order], reordered, seed), noise[order])
        np.testing.assert_array_equal(vectors[order][controls.shuffle(reordered, seed)], dealt[order])
        assert sorted(map(tuple, dealt)) == sorted(map(tuple, vectors))
    assert (controls.random(vectors, SYMBOLS, 5) != noise).all()
    assert (controls.shuffle(SYMBOLS, 6) != controls.shuffle(SYMBOLS, 5)).mean() > 0.9
