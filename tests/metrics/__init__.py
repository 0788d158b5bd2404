"""Splits, scores and the evaluate stage."""
