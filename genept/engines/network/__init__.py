"""Transformer encoders without padding: the layers, BERT, and the sentence encoder built on it."""
