"""Cells in parts: keys, faults, sums, and a cluster."""
