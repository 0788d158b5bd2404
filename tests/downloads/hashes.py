"""Hashes, as params.yaml and the services spell them."""

from __future__ import annotations

import hashlib


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
