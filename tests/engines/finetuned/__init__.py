"""Heads on embeddings, scored on cells they have not seen."""
