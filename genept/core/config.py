"""Settings files: read with YAML 1.2, checked against one typed class each; an unknown key is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from genept.core.errors import ParamsError, nearest

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")  # no '-', by which DVC joins names, and no '.', by which it joins keys
LARGEST = 2**32 - 1  # of any number: the largest seed
LONGEST = 2000  # characters of a text
SHOWN = 60  # characters of a word in a message
MOST_BYTES, MOST_VALUES, DEEPEST = 10_000_000, 100_000, 30  # of a settings file
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

Rounds = Annotated[int, Field(ge=1, le=1_000_000)]  # of a loop: epochs, steps, repeats
Size = Annotated[int, Field(ge=1, le=1_000_000)]  # of something kept in memory: cells of a batch, dimensions, tokens


class Config(BaseModel):
    """A mapping in a settings file. Values have their type in YAML: 1.10 is no text and "10" no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=())

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
            check_values(content)
            return cls.model_validate(content)
        except ValueError as error:
            reason = explain(error) if isinstance(error, ValidationError) else str(error)
            raise ParamsError(f"{where}: {brief(reason)}") from None

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


def check_values(content: Any) -> None:
    """Raise `ValueError` for what no setting can be, whatever its type: too large, too long, nested without an end.

    An alias (``*name``) counts as often as it stands, because whatever reads the settings goes through all of them.
    """
    n_values = 0
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), content)] if isinstance(content, dict | list) else []
    while waiting:
        place, values = waiting.pop()
        if len(place) > DEEPEST:
            raise ValueError(f"{place[0]}: nested more than {DEEPEST} deep")
        for key, value in values.items() if isinstance(values, dict) else enumerate(values):
            here, n_values = (*place, key), n_values + 1
            if n_values > MOST_VALUES:
                raise ValueError(f"more than {MOST_VALUES:,} values, aliases (*name) included")
            if isinstance(value, dict | list):
                waiting.append((here, value))
            elif isinstance(value, int | float) and not abs(value) <= LARGEST:
                raise ValueError(f"{'.'.join(map(str, here))}: should be a number up to {LARGEST:,}, got {value!r}")
            for text in (key, value):
                if isinstance(text, str) and (len(text) > LONGEST or CONTROL.search(text)):
                    what = f"of {len(text):,} characters" if len(text) > LONGEST else "with a control character"
                    raise ValueError(f"{'.'.join(map(str, here))}: a text {what}, at most {LONGEST:,} printable ones")


def brief(message: str) -> str:
    """Shorten a message that is too long to read, and its words."""
    message = re.sub(rf"\S{{{SHOWN},}}", lambda word: f"{word[0][: SHOWN - 3]}...", message)
    return message if len(message) <= 500 else f"{message[:497]}..."


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file; `ParamsError` if there is no such file or it is not a YAML mapping."""
    from ruamel.yaml import YAML  # DVC's own reader: YAML 1.2, where `on` is a text and 1e-3 a number
    from ruamel.yaml.error import YAMLError

    try:
        if path.exists() and not path.is_file():
            raise ParamsError(f"{path.as_posix()}: not a file")  # a pipe would be waited for
        if path.exists() and path.stat().st_size > MOST_BYTES:
            raise ParamsError(f"{path.as_posix()}: larger than {MOST_BYTES:,} bytes, so no settings file")
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(other.stem for other in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        hint = nearest(path.stem, known) or "; run from the top folder of the repository, and check the name"
        raise ParamsError(f"{path.as_posix()}: no such file{hint}") from None
    except OSError as error:
        raise ParamsError(f"{path.as_posix()}: {error.strerror}") from None
    except RecursionError:
        raise ParamsError(f"{path.as_posix()}: nested too deep") from None
    except (YAMLError, ValueError) as error:  # the latter of bytes that are no UTF-8, dates that are none
        raise ParamsError(f"{path.as_posix()}: not readable as YAML: {brief(' '.join(str(error).split()))}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path.as_posix()}: expected a mapping of settings")
    return content


def refuse_bad_name(name: Any) -> Any:
    """Refuse by `ValueError` what cannot be the name of a dataset or model; for pydantic's ``BeforeValidator``.

    A name becomes a folder, a file and a part of DVC's stage names (``embed_scgpt@covid-scgpt_mini``).
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be a name; begin with a letter, go on with letters, digits and '_', up to 100"
        )
    return name


Name = Annotated[str, BeforeValidator(refuse_bad_name)]


def check_name(name: str, where: str) -> None:
    """Raise `ParamsError` for what cannot be the name of a dataset or model."""
    try:
        refuse_bad_name(name)
    except ValueError as error:
        raise ParamsError(f"{where}: {brief(str(error))}") from None
