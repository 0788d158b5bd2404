"""Folders of small encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.encoder.made import write


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT."""
    return write(tmp_path_factory.mktemp("encoder"), "bert")


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa."""
    return write(tmp_path_factory.mktemp("roberta"), "roberta")
