"""Fetching over HTTP: downloads, archives, and the kinds of sources that use them."""
