"""Pretraining small models."""
