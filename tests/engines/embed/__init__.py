"""Cells as vectors: the command, the baseline, GenePT."""
