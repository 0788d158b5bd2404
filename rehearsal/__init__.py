"""A rehearsal of the paper's grid: every file in miniature, every server played on this machine. See README.md."""
