"""scGPT cell embeddings: upstream's tokens and checkpoints, a fast encoder, and upstream's own network as its oracle.

``tokens`` and ``checkpoint`` prepare the input and ``network`` is our encoder; ``upstream`` runs the ``scgpt`` package
and ``torchtext_stand_in`` lets that be imported. What is said of upstream holds for ``scgpt`` 0.2.4.
"""
