"""GenePT-s."""
