"""The evaluate stage: from embeddings to scores."""
