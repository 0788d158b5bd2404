"""GenePT-w: a cell is the expression-weighted sum of its genes' text vectors."""
