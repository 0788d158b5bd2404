"""Where files come from: the ``source`` of a dataset, a model or the reference tables."""

from __future__ import annotations
