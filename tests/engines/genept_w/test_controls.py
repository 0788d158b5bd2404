"""Control vectors: random ones, and those of other genes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genept.core import files
from genept.data import gene_vectors
from genept.engines.genept_w import controls
from tests.engines.genept_w.made import run, write_params


def test_a_control_of_unknown_kind_or_model_is_said(project: Path) -> None:
    result = run("control", "words", "--of", "words")
    assert result.exit_code == 2 and "must be random or shuffled" in result.output
    assert "did you mean 'words'" in run("control", "noise", "--of", "word").output


def test_random_vectors_have_the_norms_of_the_text_vectors(embedded: Path) -> None:
    folder = Path("models/long_and_short")
    vectors, genes = gene_vectors.read(Path("models/words"))
    lengths = np.array([0.5, 2.0, 7.0, 1.0], dtype=np.float32)
    gene_vectors.write(folder, vectors * lengths[:, np.newaxis], genes, {})
    noise = controls.random(gene_vectors.read(folder)[0], [gene.symbol for gene in genes], seed=0)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1), lengths, rtol=1e-6)
    run("control", "noise", "--of", "words", ok=True)
    drawn, drawn_genes = gene_vectors.read(Path("models/noise"))
    assert [gene[:2] for gene in drawn_genes] == [gene[:2] for gene in genes]
    assert {gene[2:] for gene in drawn_genes} == {(0, False, "")}
    assert np.abs(np.sum(drawn * vectors, axis=1)).max() < 0.9


def test_random_directions_are_uniform() -> None:
    noise = controls.random(np.ones((4000, 8)), [f"g{i}" for i in range(4000)], seed=3) / np.sqrt(8)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(noise.T @ noise / 4000, np.eye(8) / 8, atol=0.01)


def test_shuffled_vectors_move_with_their_text(embedded: Path) -> None:
    run("control", "dealt", "--of", "words", ok=True)
    vectors, genes = gene_vectors.read(Path("models/words"))
    dealt, dealt_genes = gene_vectors.read(Path("models/dealt"))
    text_of = {gene.text: row for row, gene in enumerate(genes)}
    assert sorted(gene.text for gene in dealt_genes) == sorted(text_of)
    assert [gene[:2] for gene in dealt_genes] == [gene[:2] for gene in genes]
    for row, gene in zip(dealt, dealt_genes, strict=True):
        np.testing.assert_array_equal(row, vectors[text_of[gene.text]])
        assert gene[2:4] == genes[text_of[gene.text]][2:4]


def test_controls_follow_the_seed_and_not_the_order_of_rows() -> None:
    symbols = [f"G{i}" for i in range(200)]
    vectors = np.random.default_rng(1).normal(size=(200, 4))
    order = np.random.default_rng(2).permutation(200)
    renamed = [symbols[i] for i in order]
    np.testing.assert_allclose(
        controls.random(vectors[order], renamed, seed=5), controls.random(vectors, symbols, seed=5)[order]
    )
    given_to = {symbol: symbols[row] for symbol, row in zip(symbols, controls.shuffled(symbols, seed=5), strict=True)}
    reordered = {symbol: renamed[row] for symbol, row in zip(renamed, controls.shuffled(renamed, seed=5), strict=True)}
    assert reordered == given_to
    assert sorted(given_to.values()) == sorted(symbols)
    assert (controls.shuffled(symbols, seed=6) != controls.shuffled(symbols, seed=5)).mean() > 0.9
    assert (controls.random(vectors, symbols, seed=6) != controls.random(vectors, symbols, seed=5)).all()


def test_another_seed_gives_other_controls_on_disk(embedded: Path) -> None:
    for model in ("noise", "dealt"):
        write_params("name", seed=0)
        run("control", model, "--of", "words", ok=True)
        first, _ = gene_vectors.read(Path("models") / model)
        first = np.array(first)
        write_params("name", seed=1)
        run("control", model, "--of", "words", ok=True)
        assert (gene_vectors.read(Path("models") / model)[0] != first).any()
        assert files.read_json(Path("models") / model / "card.json")["seed"] == 1
