"""Pickles of others."""
