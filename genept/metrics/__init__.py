"""Scoring embeddings as the GenePT paper does: Table 2, Table C4 and Section 4.4.

Each choice of the authors' protocol is a setting under ``evaluate`` in ``params.yaml``; a deviation stands in the
docstring of the function that makes it.
"""
