"""GenePT-s: a cell is the embedding of its gene names in order of expression."""
