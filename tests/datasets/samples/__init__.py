"""Counts deposited by sample and a table of labels."""
