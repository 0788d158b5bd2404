"""Settings files: read with YAML 1.2, checked against one typed class each; an unknown key is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from genept.core import files
from genept.core.errors import ParamsError, nearest

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # no '-', by which DVC joins names, and no '.', by which it joins keys


class Config(BaseModel):
    """A mapping in a settings file. Values have their type in YAML: 1.10 is no text and "10" no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, content: Any) -> Any:
        """Name the nearest key that exists, which pydantic's own message does not."""
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                hint = nearest(str(key), cls.model_fields) or "."
                raise ValueError(f"no setting {key!r}{hint} Known: {', '.join(cls.model_fields) or 'none'}")
        return content

    @classmethod
    def parse(cls, content: Any, where: str) -> Self:
        """Check the content of a file or of a part of it; `where`, such as ``data/covid.yaml``, is for the error.

        `ParamsError` says in one line which setting is missing, unknown or not what it should be.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ParamsError(f"{where}: {explain(error)}") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a file."""
        return cls.parse(read_yaml(path), path.as_posix())


def explain(error: ValidationError) -> str:
    """Say in one line what is wrong with the first setting that pydantic refused."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "tagged-union")))
    value = first["input"]
    if first["type"] == "missing":
        return f"{place} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "string_type" and isinstance(value, int | float):
        message = f"put quotes around {value!r}: YAML reads it as a number"
    elif first["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        message = f"should be {first['ctx']['expected']}, got {value!r}{nearest(str(value), known)}"
    elif first["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:].removeprefix('nput ')}, got {value!r}".replace("ishould", "should")
    return f"{place}: {message}" if place else message


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file; `ParamsError` if there is no such file or it is not a YAML mapping."""
    from ruamel.yaml import YAML  # DVC's own reader: YAML 1.2, where `on` is a text and 1e-3 a number
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(files.require_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(other.stem for other in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        hint = nearest(path.stem, known) or "; run from the top folder of the repository, and check the name"
        raise ParamsError(f"{path.as_posix()}: no such file{hint}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path.as_posix()}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path.as_posix()}: expected a mapping of settings")
    return content


def refuse_bad_name(name: Any) -> Any:
    """Refuse by `ValueError` what cannot be the name of a dataset or model; for pydantic's ``BeforeValidator``.

    A name becomes a folder, a file and a part of DVC's stage names (``embed_scgpt@covid-scgpt_mini``).
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a name; begin with a letter, go on with letters, digits and '_'")
    return name


Name = Annotated[str, BeforeValidator(refuse_bad_name)]


def check_name(name: str, where: str) -> None:
    """Raise `ParamsError` for what cannot be the name of a dataset or model."""
    try:
        refuse_bad_name(name)
    except ValueError as error:
        raise ParamsError(f"{where}: {error}") from None
