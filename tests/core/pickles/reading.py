"""Reading a pickle from bytes, and what must be true of a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import pickles
from genept.core.errors import InputError


def load(path: Path, content: bytes, **options: Any) -> Any:
    path.write_bytes(content)
    return pickles.load(path, **options)


def spelled(content: Any) -> str:
    """Spell content out with types, so that 1, 1.0 and True, 0.0 and -0.0 differ, and NaN equals itself."""
    if isinstance(content, np.ndarray):
        return f"array({content.dtype.newbyteorder('=')}, {spelled(content.tolist())})"
    if isinstance(content, dict):
        return "{" + ", ".join(f"{spelled(key)}: {spelled(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list | tuple):
        return type(content).__name__ + "(" + ", ".join(map(spelled, content)) + ")"
    return f"{type(content).__name__} {content!r}"


def refusal(content: bytes, file: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(file, content, **options)
    message = caught.value.message
    assert message.startswith(f"{file}: ") and "\n" not in message and len(message) < 500
    return message.removeprefix(f"{file}: ")
