"""Published datasets, read and brought to the one form that every later stage reads."""
