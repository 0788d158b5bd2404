"""Scoring embeddings as the GenePT paper does: Table 2, Table C4 and Section 4.4.

Every choice of the authors' protocol is a named entry under ``evaluate`` in ``params.yaml``; every deviation is stated
in the docstring of the function that makes it.
"""
