"""Fetching: downloads, archives, and the kinds of sources."""
