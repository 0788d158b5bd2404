"""What stages hand each other: cells, genes, embeddings, splits."""
