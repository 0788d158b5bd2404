"""Tests of scgpt."""
