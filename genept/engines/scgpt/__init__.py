"""scGPT cell embeddings: upstream's tokens and checkpoints, a fast encoder, and upstream's own network as its oracle.

``binning`` and ``tokens`` prepare cells, ``checkpoint`` reads models, ``embed`` is our encoder; ``upstream`` runs the
``scgpt`` package, of which version 0.2.4 is meant everywhere.
"""
