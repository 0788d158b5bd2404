"""The form of a source: what an entry of ``params.yaml`` says of its files, and in which places each may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath, PurePosixPath
from typing import Any

from genept.core.errors import ParamsError

UNLOCKED = ("local",)  # a file of one's own: its hash is printed for the entry instead
BY_PIP = ("wheel",)  # an archive that pip compares with the hash that the package index names
ATTEMPTS = "attempts.json"  # in the fetched folder, if a file has candidates
OF_ENTRY = (  # stand in the source for all its files, or with a file for that one
    "package", "version", "record", "article", "accession", "repo", "revision", "repo_type", "folder", "study",
)  # fmt: skip
ADVICE = ("sha256", "where", "candidates", "optional")  # no part of a place


def check_source(where: str, source: Any) -> None:
    """Check the form of a source: files with plain names within the folder, and a kind for each place of each file."""
    if not isinstance(source, dict):
        raise ParamsError(f"params.yaml: {where} has no source with a kind; there is nothing to fetch")
    targets = source.get("files")
    if not isinstance(targets, dict) or not targets:
        raise ParamsError(f"params.yaml: {where}.source names no files")
    for target, item in targets.items():
        path = PurePosixPath(str(target))
        if path.is_absolute() or ".." in path.parts or not isinstance(item, dict):
            raise ParamsError(
                f"params.yaml: {where}.source.files: {target!r} must be a file name with a mapping under it"
            )
        check_candidates(f"{where}.source.files.{target}", item)
    if any("kind" not in {**source, **item} for target in targets for item in places(source, target)):
        raise ParamsError(f"params.yaml: {where} has no source with a kind; there is nothing to fetch")
    if ATTEMPTS in targets and any(has_candidates(source, target) for target in targets):
        raise ParamsError(f"params.yaml: {where}.source.files: choose another name than {ATTEMPTS}, which is in use")


def check_candidates(where: str, item: dict[str, Any]) -> None:
    """Check the form of a file's candidates, if it has any."""
    candidates = item.get("candidates", [{}])
    if not isinstance(candidates, list) or not candidates or not all(isinstance(one, dict) for one in candidates):
        raise ParamsError(f"params.yaml: {where}.candidates must be a list of places, each a mapping")
    if any("candidates" in one or "optional" in one for one in candidates):
        raise ParamsError(f"params.yaml: {where}.candidates: a place has neither candidates nor optional of its own")
    optional = item.get("optional", False)
    if not isinstance(optional, bool) or (optional and "candidates" not in item):
        raise ParamsError(f"params.yaml: {where}.optional must be true or false, beside candidates")


def has_candidates(source: dict[str, Any], target: str) -> bool:
    """Say whether a file may be in one of several places."""
    return "candidates" in source["files"][target]


def places(source: dict[str, Any], target: str) -> list[dict[str, Any]]:
    """Return the places of a file in the order in which they are tried; each has what stands beside the candidates."""
    item = source["files"][target]
    if "candidates" not in item:
        return [item]
    shared = {key: value for key, value in item.items() if key not in ("candidates", "optional")}
    return [{**shared, **candidate} for candidate in item["candidates"]]


def settled(source: dict[str, Any], target: str) -> Iterator[dict[str, Any]]:
    """Yield, for each place of a file, the source of that file alone, as if there were no other place.

    A candidate of another kind than the source's has all its keys itself, such as a ``record``.
    """
    for item in places(source, target):
        kind, files = kind_in(source, item), {target: item}
        if not has_candidates(source, target):
            yield {**source, "kind": kind, "files": files}
        elif kind == source.get("kind"):
            yield {**source, **item, "files": files}
        else:
            yield {**item, "files": files}


def origins(source: dict[str, Any], targets: Iterable[str]) -> list[dict[str, Any]]:
    """Return the source in parts, one for each kind and entry that some files are of.

    What a file says goes before what the source says; a file of another kind has all its keys itself.
    """
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for target in targets:
        item = source["files"][target]
        kind, said = kind_in(source, item), {key: item[key] for key in OF_ENTRY if key in item}
        other = source.get("kind", kind) != kind
        shared = {key: value for key, value in source.items() if not (other and key in OF_ENTRY)}
        part = parts.setdefault((kind, repr(sorted(said.items()))), {**shared, **said, "kind": kind, "files": {}})
        part["files"][target] = item
    return list(parts.values())


def kind_in(source: dict[str, Any], item: dict[str, Any]) -> str:
    """Return the kind of a place: its own, or that of all files."""
    return str(item["kind"] if "kind" in item else source["kind"])


def kind_of(source: dict[str, Any], target: str) -> str:
    """Return the kind of a file's source, where it has one place."""
    return kind_in(source, source["files"][target])


def is_locked(source: dict[str, Any], target: str) -> bool:
    """Say whether it is the lock that knows a file's sha256: it can change at its source, and its entry names none."""
    return kind_of(source, target) not in UNLOCKED and source["files"][target].get("sha256") is None


def has_locked_archive(source: dict[str, Any], target: str) -> bool:
    """Say whether it is the lock that knows the sha256 of the archive that a file is taken out of."""
    item = source["files"][target]
    elsewhere = kind_of(source, target) not in (*UNLOCKED, *BY_PIP)
    return elsewhere and "member" in item and item.get("archive_sha256") is None


def describe(source: dict[str, Any], target: str) -> str:
    """Say where a file comes from: all that its entry names, but the hash and the advice."""
    parts = {**{key: value for key, value in source.items() if key != "files"}, **source["files"][target]}
    return ", ".join(f"{key} {value}" for key, value in parts.items() if key not in ADVICE)


def describe_anywhere(source: dict[str, Any], target: str) -> str:
    """Say where a file comes from, as `describe`, without the folders of this machine."""

    def short(item: dict[str, Any]) -> dict[str, Any]:
        paths = {key for key in ("path", "folder") if key in item and PurePath(str(item[key])).is_absolute()}
        return {**item, **{key: f".../{PurePath(str(item[key])).name}" for key in paths}}

    return describe({**short(source), "files": {target: short(source["files"][target])}}, target)
