"""Tests of geneformer."""
