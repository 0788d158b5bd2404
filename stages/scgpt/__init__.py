"""scGPT cell embeddings: the released checkpoint's layout, upstream's tokens, a fast encoder, and upstream's own as oracle.

``tokens`` and ``checkpoint`` prepare the input, ``network`` is our encoder; ``upstream`` runs the ``scgpt`` package, and
``torchtext_stand_in`` is what lets that package be imported. Facts about upstream are those of ``scgpt`` 0.2.4.
"""
