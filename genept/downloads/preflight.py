"""What a run will need and what of it is there, on one page, before anything is downloaded or paid for.

Each source file is either in the store of downloads, or its address is asked for one byte or a list. The fallback of a
dataset is looked at only where its own file is gone, as `genept.downloads.fetch` does. Hours and dollars are estimates:
the page says what they assume.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from genept.core.disk import readable
from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads import web
from genept.downloads.config import File, Source, files_of
from genept.downloads.hosts.local import Local
from genept.downloads.store import Record, Store, read_lock

WIDTH = 80
INDENT = 13
AT_ONCE = 4  # addresses asked at a time
ANSWERS, STORED, HERE, OPTIONAL = "answers", "in the store", "on this machine", "not there, not needed"

# What the estimates assume.
TOKENS_PER_SENTENCE = 3500  # of GenePT-s: up to 1,000 symbols
TOKENS_PER_MINUTE = 1_000_000  # what the API lets an account send
BYTES_PER_SECOND = 10e6  # of downloads
SCORING = 0.01  # seconds a cell and model on two cores: measured on 8,000 cells; more cells take more
NETWORK = {"cpu": 0.3, "gpu": 0.02}  # seconds a cell and released network: measured on two cores; assumed for a GPU
BYTES_PER_CELL = 4096  # of an embedding: 1,024 dimensions on average
UNPACKED = 5  # times its size that an archive unpacks to
COPIES = 2  # in the store or folder, and in DVC's cache


class Wanted(NamedTuple):
    """The files of a dataset or model; `where` is its settings file without the suffix."""

    where: str
    sources: tuple[Source, ...]
    fallback: tuple[Source, ...] | None = None


class Key(NamedTuple):
    """An environment variable, what it is for, and whether nothing runs without it. Its value is never shown."""

    name: str
    purpose: str
    is_needed: bool

    @property
    def is_set(self) -> bool:
        """Whether it has a value."""
        return bool(os.environ.get(self.name, "").strip())


class Plan(NamedTuple):
    """What a grid asks for."""

    title: str
    keys: list[Key]
    wanted: list[Wanted]
    n_cells: dict[str, int | None]  # of each dataset; None where nobody reports them
    n_models: int
    n_embeddings: int  # of a dataset: one of each model, of a control one for each draw
    networks: list[str]  # released models that run over every cell
    prices: dict[str, float]  # of each model whose sentences are paid for, US dollars for a million tokens
    gpu: str  # its name; empty where there is none


class Finding(NamedTuple):
    """A source file, or an archive with several: what was found, its size if known, and what to do if it is missing."""

    where: str
    name: str
    state: str
    n_bytes: int | None = None  # still to be downloaded
    is_archive: bool = False
    advice: str = ""  # empty where nothing is missing
    is_gone: bool = False  # its host was reached and has no such file
    place: str = ""  # in words; two models may need the same file


def look(wanted: Iterable[Wanted]) -> list[Finding]:
    """Look for the files of several datasets and models, some at a time; the findings are in their order.

    A file that several of them need is listed once.
    """
    store, lock = Store(), read_lock()
    with web.briefly(), ThreadPoolExecutor(AT_ONCE) as pool:
        found = [one for some in pool.map(lambda one: look_for(one, store, lock), wanted) for one in some]
    return list({(one.place, one.state): one for one in reversed(found)}.values())[::-1]


def look_for(wanted: Wanted, store: Store, lock: Mapping[str, Record]) -> list[Finding]:
    """Look for the files of one dataset or model, and for its fallback's if one is gone from its source."""
    groups: dict[object, dict[str, File]] = {}
    for target, file in files_of(wanted.sources).items():
        first = file.places[0]
        if isinstance(first, Local) and first.in_git:
            continue
        is_own = len(file.places) > 1 or file.optional
        groups.setdefault(target if is_own else first.archive or first, {})[target] = file
    found = [look_for_group(wanted.where, group, store, lock) for group in groups.values()]
    if wanted.fallback is None or not any(one.is_gone for one in found):
        return found
    fallback = look_for(Wanted(f"{wanted.where}.fallback", wanted.fallback), store, lock)
    return [*(one._replace(state="gone: see fallback", advice="") for one in found if one.is_gone), *fallback]


def look_for_group(where: str, group: dict[str, File], store: Store, lock: Mapping[str, Record]) -> Finding:
    """Look for a file in its places, or for the one archive of several."""

    def is_stored(key: str, sha256: str | None) -> bool:
        digits = sha256 or (lock[key].sha256 if key in lock else None)
        return digits is not None and store.path(digits).is_file()

    file = next(iter(group.values()))
    source = file.places[0].archive or file.places[0]
    finding = Finding(where, source.title, STORED, is_archive=source != file.places[0], place=source.words)
    if isinstance(source, Local):
        finding = finding._replace(state=HERE)
    elif all(is_stored(f"{where}/{target}", one.places[0].sha256) for target, one in group.items()):
        return finding
    elif is_stored(f"{where}/archive of {source.words}", source.sha256):
        return finding
    reasons = list[str]()
    for place in file.places:
        try:
            n_bytes = (place.archive or place).probe(store)
        except NotFoundAtSource as error:
            reasons.append(error.message)
        except InputError as error:
            return finding._replace(state="cannot be had", advice=error.message)
        else:
            return finding if isinstance(place, Local) else finding._replace(state=ANSWERS, n_bytes=n_bytes)
    if file.optional:
        return finding._replace(state=OPTIONAL)
    return finding._replace(state="not there", advice=f"{where}: {'; '.join(reasons)}", is_gone=True)


def page(plan: Plan, found: list[Finding], free: int) -> tuple[str, list[str]]:
    """Return the page, at most 80 columns wide, and one line for each thing that is missing.

    `free` is the space on the disk in bytes.
    """
    needed = disk(plan, found)
    space = f"{readable(needed)} needed by estimate, {readable(free)} free"
    n_unknown = sum(one.state == ANSWERS and one.n_bytes is None for one in found)
    missing = [
        f"{key.name} is not set ({key.purpose}): export {key.name}=..."
        for key in plan.keys
        if key.is_needed and not key.is_set
    ]
    missing += missing_files(found)
    if needed > free:
        missing.append(f"space on the disk: {space}; free some, or name another folder by GENEPT_DOWNLOADS")
    blocks = {
        "Keys": [f"{key.name:16}{'set' if key.is_set else 'not set'}; {key.purpose}" for key in plan.keys],
        "Files": [describe(one) for one in found],
        "Disk": [space + (f"; {n_unknown} files do not say their size" if n_unknown else "")],
        "GPU": [plan.gpu or (f"none: slow for {', '.join(plan.networks)}" if plan.networks else "none, none needed")],
        "Cells": [", ".join(f"{name} {f'{n:,}' if n else 'unknown'}" for name, n in plan.n_cells.items())],
        "Hours": [hours(plan, found)],
        "API": [cost(plan)],
    }
    lines = [*textwrap.wrap(plan.title, WIDTH), ""]
    for heading, texts in blocks.items():
        for number, text in enumerate(texts or ["none"]):
            first = f"{'' if number else heading:{INDENT}}"
            lines += textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=" " * INDENT)
    lines += ["", "Missing" if missing else "Nothing is missing."]
    for text in missing:
        lines += textwrap.wrap(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines), missing


def missing_files(found: Iterable[Finding]) -> list[str]:
    """Say which files are missing and what to do, those with one reason together."""
    names: dict[str, dict[str, None]] = {}
    for one in found:
        if one.advice:
            reason = re.sub(r" \(before it, .*\)$", "", re.sub(r"^https?://\S+: ", "", one.advice))
            names.setdefault(reason, {})[one.where.rpartition("/")[2]] = None
    return [f"{', '.join(those)}: {reason}" for reason, those in names.items()]


def describe(one: Finding) -> str:
    """Say of a file whose it is, what it is called, what was found and its size."""
    where, name = (
        text if len(text) <= room else f"{text[: room - 3]}..."
        for text, room in ((one.where.rpartition("/")[2], 18), (one.name, 25))
    )
    return f"{where:18} {name:25} {one.state}{'' if one.n_bytes is None else f', {readable(one.n_bytes)}'}"


def disk(plan: Plan, found: Iterable[Finding]) -> int:
    """Estimate the bytes that a run adds to the disk."""
    files = sum((one.n_bytes or 0) * (1 + UNPACKED if one.is_archive else 1) for one in found)
    cells = sum(n or 0 for n in plan.n_cells.values())
    return COPIES * (files + cells * plan.n_embeddings * BYTES_PER_CELL)


def hours(plan: Plan, found: Iterable[Finding]) -> str:
    """Estimate how long a run takes, and say of what."""
    cells = sum(n or 0 for n in plan.n_cells.values())
    network, basis = NETWORK["gpu" if plan.gpu else "cpu"], "assumed" if plan.gpu else "two cores"
    parts = {
        f"downloads ({BYTES_PER_SECOND / 1e6:g} MB/s, assumed)": sum(one.n_bytes or 0 for one in found)
        / BYTES_PER_SECOND,
        f"API ({TOKENS_PER_MINUTE:,} tokens a minute, assumed)": 60 * n_tokens(plan) / TOKENS_PER_MINUTE,
        f"released networks ({network:g} s a cell, {basis})": cells * len(plan.networks) * network,
        f"scores and pictures ({SCORING:g} s a cell and model, two cores)": cells * plan.n_models * SCORING,
    }
    listed = ", ".join(f"{what} {seconds / 3600:.1f}" for what, seconds in parts.items() if seconds >= 180)
    return f"about {sum(parts.values()) / 3600:.1f}" + (f": {listed}" if listed else "")


def n_tokens(plan: Plan) -> int:
    """Estimate the tokens that are sent to the API."""
    return sum(n or 0 for n in plan.n_cells.values()) * TOKENS_PER_SENTENCE * len(plan.prices)


def cost(plan: Plan) -> str:
    """Estimate what the API costs, and say how."""
    if not plan.prices:
        return "not used"
    n_sentences = sum(n or 0 for n in plan.n_cells.values())
    dollars = sum(plan.prices.values()) * n_sentences * TOKENS_PER_SENTENCE / 1e6
    models = ", ".join(f"{name} ({price:g} dollars a million tokens)" for name, price in plan.prices.items())
    return f"about {dollars:,.0f} dollars: {n_sentences:,} sentences of {TOKENS_PER_SENTENCE:,} tokens, {models}"


def free_bytes() -> int:
    """Return the free space where the repository is."""
    return shutil.disk_usage(".").free
