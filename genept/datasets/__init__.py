"""Labelling: a data set as it was published becomes cells in the one form that every later stage reads."""
