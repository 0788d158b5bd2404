"""Text encoders: a vector for a text."""
