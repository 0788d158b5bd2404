"""Cells as vectors: embed them by language models of gene text and by single-cell foundation models, and score them."""
