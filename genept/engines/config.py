"""A model's file, ``models/<model>.yaml``: what all models have, and where to find what an engine adds."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from genept.core.config import Config, check_name, read_yaml
from genept.core.errors import ParamsError, nearest
from genept.core.text import Line, Title
from genept.downloads.config import Sources
from genept.engines import custom

MODELS = Path("models")
ENGINES = Path(__file__).parent


class ModelConfig(Config):
    """What every model's file may have. An engine's ``config.py`` has a `ModelConfig` of its own, named `Model`.

    Settings stand under the stage that uses them (``vectors``, ``pretrain``, ``embed``, ``finetune``), so that DVC runs
    again what depends on them and nothing else.
    """

    title: Title
    note: Line = ""
    paper: str | None = None  # the paper's model that it is
    engine: str | None = None  # None: the model is the code in models/<model>.py
    source: Sources = ()


def path(name: str) -> Path:
    """Path of a model's file."""
    return MODELS / f"{name}.yaml"


def read(name: str) -> Any:
    """Read a model's file as the `Model` of its engine's ``config.py``, or of ``models/<name>.py`` if it names none.

    `ParamsError` if the file, its engine or one of its settings is not what it should be.
    """
    check_name(name, "models")
    content = read_yaml(path(name))
    engine = content.get("engine")
    if engine is None:
        file = MODELS / f"{name}.py"
        model = custom.load(file, ModelConfig).Model
        with custom.explained(file):  # also of the user's own validators
            return model.parse(content, path(name).as_posix())
    known = sorted(folder.parent.name for folder in ENGINES.glob("*/config.py"))
    if engine not in known:
        hint = nearest(str(engine), known) or "."
        raise ParamsError(f"{path(name).as_posix()}: no engine {engine!r}{hint} Known: {', '.join(known)}")
    module = importlib.import_module(f"genept.engines.{engine}.config")
    return module.Model.parse(content, path(name).as_posix())


def code(name: str, config: ModelConfig) -> ModuleType:
    """Import the module whose ``embed`` embeds cells; `ParamsError` for an engine that `stages.embed` does not run."""
    if config.engine is None:
        return custom.load(MODELS / f"{name}.py", ModelConfig)
    if not (ENGINES / config.engine / "embed.py").is_file():
        raise ParamsError(f"{path(name).as_posix()}: engine {config.engine} makes its embeddings in another stage")
    return importlib.import_module(f"genept.engines.{config.engine}.embed")
