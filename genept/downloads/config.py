"""Sources in settings files: the ``source`` of a dataset, of a model and of the gene tables.

A source has a ``kind`` (the host), that host's keys, and ``files``. Keys of the source hold for all its files; a file
adds its own, or names another ``kind`` and has all keys of that host itself::

    source:
      kind: geo
      accession: GSE159677
      name: GSE159677_filtered.tar.gz          # the archive of all members
      files:
        matrix.mtx.gz: {member: outs/matrix.mtx.gz, sha256: ...}
        labels.csv:
          kind: local
          path: data/manual/artery/labels.csv
          optional: true                       # the run goes on without it
          fallback:                            # further places, tried in order if the file is not there
          - {kind: http, url: "https://example.org/labels.csv"}

A model may also name a file in ``models/sources``, or list sources, names and ``{use: name, only: [files]}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationError

from genept.core.config import Config, explain, read_yaml, refuse_bad_name
from genept.core.errors import ParamsError, nearest
from genept.downloads.hosts.figshare import Figshare
from genept.downloads.hosts.gdrive import GoogleDrive
from genept.downloads.hosts.geo import Geo
from genept.downloads.hosts.http import Http
from genept.downloads.hosts.huggingface import HuggingFace
from genept.downloads.hosts.local import Local
from genept.downloads.hosts.scp import SingleCellPortal
from genept.downloads.hosts.wheel import Wheel
from genept.downloads.hosts.zenodo import Zenodo
from genept.downloads.place import Place

SHARED = Path("models/sources")
HOSTS: dict[str, type[Place]] = {
    "wheel": Wheel,
    "http": Http,
    "zenodo": Zenodo,
    "figshare": Figshare,
    "geo": Geo,
    "huggingface": HuggingFace,
    "gdrive": GoogleDrive,
    "scp": SingleCellPortal,
    "local": Local,
}
NOTES = ("attempts.json", "fallback.json")  # files that fetch itself writes beside the fetched ones


@dataclass(frozen=True)
class File:
    """A file to fetch: its places in the order in which they are tried, and whether it may be in none of them."""

    places: tuple[Place, ...]
    optional: bool = False


@dataclass(frozen=True)
class Source:
    """Files to fetch, by their paths in the folder that they go to."""

    files: dict[str, File]


class Use(Config):
    """Some files of a shared source."""

    use: str
    only: list[str]


class More(Config):
    """What a file may have beside the keys of its first place."""

    optional: bool = False
    fallback: list[dict[str, Any]] = []


def read_sources(content: Any) -> tuple[Source, ...]:
    """Turn a source, the name of a shared one, or a list of both into sources; None is none.

    What is wrong raises `ValueError`, of which pydantic makes a `ParamsError` within a `Config`.
    """
    if isinstance(content, tuple):
        return content
    items = content if isinstance(content, list) else [] if content is None else [content]
    sources = tuple(read_item(item) for item in items)
    targets = [target for source in sources for target in source.files]
    for target in targets:
        if targets.count(target) > 1:
            raise ValueError(f"the file {target!r} is in two sources")
    return sources


Sources = Annotated[tuple[Source, ...], PlainValidator(read_sources)]


def read_item(item: Any) -> Source:
    """Read a source, the name of a shared one, or ``{use: name, only: [files]}``."""
    if isinstance(item, str):
        return read_shared(item)
    if not isinstance(item, dict):
        raise ValueError(f"expected kind and files, the name of a file in {SHARED}, or a list of these, not {item!r}")
    if "use" not in item:
        return parse_source(item)
    use = Use.model_validate(item)
    source = read_shared(use.use)
    return Source({target: source.files[check_known(target, source.files, "file")] for target in use.only})


def read_shared(name: str) -> Source:
    """Read a file of ``models/sources``."""
    path = SHARED / f"{refuse_bad_name(name)}.yaml"
    try:
        return parse_source(read_yaml(path))
    except ValueError as error:
        raise ParamsError(f"{path.as_posix()}: {error}") from None


def parse_source(content: dict[str, Any]) -> Source:
    """Check a mapping with ``files`` and what holds for all of them."""
    shared, files = {key: value for key, value in content.items() if key != "files"}, content.get("files")
    if shared and "kind" not in shared:
        raise ValueError("kind is missing")
    if "sha256" in shared:
        raise ValueError("no setting 'sha256' of a source; each file has its own")
    if not isinstance(files, dict) or not files:
        raise ValueError("files is missing: a mapping of file names and where each comes from")
    return Source({target: parse_file(target, item, shared) for target, item in files.items()})


def parse_file(target: Any, item: Any, shared: dict[str, Any]) -> File:
    """Check the name of a file and what stands under it."""
    path = PurePosixPath(str(target))
    if not isinstance(target, str) or path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"files: {target!r} must be the name of a file within the folder")
    if target in NOTES:
        raise ValueError(f"files: choose another name than {target}, which is in use")
    if not isinstance(item, dict):
        raise ValueError(f"files.{target}: expected a mapping that says where the file comes from")
    try:
        more = More.model_validate({key: item[key] for key in More.model_fields if key in item})
        own = {key: value for key, value in item.items() if key not in More.model_fields}
        first = parse_place(own, shared)
        beside = {} if first.sha256 is None else {"sha256": first.sha256}  # the same file, wherever it is
        others = [parse_place({**beside, **place}, shared) for place in more.fallback]
    except ValueError as error:
        reason = explain(error) if isinstance(error, ValidationError) else error
        raise ValueError(f"files.{target}: {reason}") from None
    return File((first, *others), more.optional)


def parse_place(own: dict[str, Any], shared: dict[str, Any]) -> Place:
    """Check one place of a file; keys of the source hold for it unless it is of another kind."""
    kind = own.get("kind", shared.get("kind"))
    if kind is None:
        raise ValueError("kind is missing")
    content = {**shared, **own} if kind == shared.get("kind") else own
    return HOSTS[check_known(kind, HOSTS, "kind")].model_validate(content)


def check_known(name: Any, known: Iterable[str], what: str) -> str:
    """Refuse a name that does not exist, with the nearest that does."""
    known = list(known)
    if name not in known:
        raise ValueError(f"no {what} {name!r}{nearest(str(name), known) or '.'} Known: {', '.join(known)}")
    return str(name)


def files_of(sources: Iterable[Source]) -> dict[str, File]:
    """Return the files of several sources by their names."""
    return {target: file for source in sources for target, file in source.files.items()}
