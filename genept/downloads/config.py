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
OF_ONE_FILE = ("sha256", "optional", "fallback")
NOTES = ("attempts.json", "fallback.json")  # files that fetch itself writes beside the fetched ones


@dataclass(frozen=True)
class File:
    """A file to fetch.

    Attributes
    ----------
    places
        Where it may be, in the order in which they are tried.
    optional
        Whether it may be in none of them.
    """

    places: tuple[Place, ...]
    optional: bool = False


@dataclass(frozen=True)
class Source:
    """Files to fetch, by their paths in the folder that they go to."""

    files: dict[str, File]


class Use(Config):
    """A shared source, or some of its files."""

    use: str
    only: list[str] | None = None


def read_sources(content: Any) -> tuple[Source, ...]:
    """Turn a source, the name of a shared one, or a list of both into sources; None is none.

    Raises
    ------
    ValueError
        If something in it is not what it should be. Within a `Config`, pydantic turns it into a `ParamsError`.
    ParamsError
        If a file of ``models/sources`` is not what it should be.
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
    for target in use.only or ():
        check_known(target, source.files, "file", f"{use.use}: ")
    return source if use.only is None else Source({target: source.files[target] for target in use.only})


def read_shared(name: str) -> Source:
    """Read a file of ``models/sources``."""
    path = SHARED / f"{refuse_bad_name(name)}.yaml"
    content = read_yaml(path)
    try:
        return parse_source(content)
    except ValueError as error:
        raise ParamsError(f"{path.as_posix()}: {error}") from None


def parse_source(content: dict[str, Any]) -> Source:
    """Check a mapping with ``files`` and what holds for all of them."""
    shared = {key: value for key, value in content.items() if key != "files"}
    if "kind" in shared:
        kind = check_known(shared["kind"], HOSTS, "kind")
        known = [key for key in HOSTS[kind].model_fields if key not in OF_ONE_FILE]
        for key in shared:
            check_known(key, [*known, "files"], "setting")
    elif shared:
        raise ValueError("kind is missing")
    files = content.get("files")
    if not isinstance(files, dict) or not files:
        raise ValueError("files is missing: a mapping of file names and where each comes from")
    return Source({check_target(target): parse_file(target, item, shared) for target, item in files.items()})


def check_target(target: Any) -> str:
    """Refuse what is no path within a folder, or the name of a note."""
    path = PurePosixPath(str(target))
    if not isinstance(target, str) or path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"files: {target!r} must be the name of a file within the folder")
    if target in NOTES:
        raise ValueError(f"files: choose another name than {target}, which is in use")
    return target


def parse_file(target: str, item: Any, shared: dict[str, Any]) -> File:
    """Check what stands under the name of a file."""
    where = f"files.{target}"
    if not isinstance(item, dict):
        raise ValueError(f"{where}: expected a mapping that says where the file comes from")
    own = {key: value for key, value in item.items() if key not in ("optional", "fallback")}
    fallback, optional = item.get("fallback", []), item.get("optional", False)
    if not isinstance(optional, bool):
        raise ValueError(f"{where}.optional: must be true or false, not {optional!r}")
    if not isinstance(fallback, list) or not all(isinstance(place, dict) for place in fallback):
        raise ValueError(f"{where}.fallback: must be a list of places, each a mapping")
    first = parse_place(where, own, shared)
    beside = {} if first.sha256 is None else {"sha256": first.sha256}  # the same file, wherever it is
    others = [parse_place(f"{where}.fallback", {**beside, **place}, shared) for place in fallback]
    return File((first, *others), optional)


def parse_place(where: str, own: dict[str, Any], shared: dict[str, Any]) -> Place:
    """Check one place of a file; keys of the source hold for it unless it is of another kind."""
    kind = own.get("kind", shared.get("kind"))
    if kind is None:
        raise ValueError(f"{where}: kind is missing")
    check_known(kind, HOSTS, "kind", f"{where}: ")
    content = {**shared, **own} if kind == shared.get("kind") else own
    try:
        return HOSTS[kind].model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{where}: {explain(error)}") from None


def check_known(name: Any, known: Iterable[str], what: str, where: str = "") -> str:
    """Refuse a name that does not exist, with the nearest that does."""
    known = list(known)
    if name not in known:
        hint = nearest(str(name), known) or "."
        raise ValueError(f"{where}no {what} {name!r}{hint} Known: {', '.join(known)}")
    return str(name)


def files_of(sources: Iterable[Source]) -> dict[str, File]:
    """Return the files of several sources by their names."""
    return {target: file for source in sources for target, file in source.files.items()}
