"""Geneformer: a BERT over a cell's genes, ranked by expression relative to each gene's median (Theodoris et al. 2023).

``dictionaries`` reads and writes the released token and median files, ``logarithms`` turns log-normalised values back
into counts, ``ranking`` cells into tokens, ``embed`` loads and runs the weights. The ``geneformer`` package is on no
registry and its weights are plain BERT weights, so the ranking is written here.
"""
