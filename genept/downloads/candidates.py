"""A file that may be in one of several places: they are tried in order, and what came of each attempt is noted.

A place is passed over only if the file is not there. Whatever else goes wrong (no network, a refusal, a wrong hash)
stops the run: else the result would depend on the weather.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from genept.core.errors import Absent
from genept.downloads.source import describe_anywhere, kind_of, settled


def take_first(
    where: str, source: dict[str, Any], target: str, gets: Mapping[str, Callable[..., None]], folder: Path
) -> tuple[dict[str, Any] | None, list[dict[str, str]]]:
    """Fetch a file from the first of its places that has it.

    Parameters
    ----------
    where
        The entry's place in ``params.yaml``, for messages.
    source, target
        The entry's source and the name of its file.
    gets
        The function ``fetch`` of each kind.
    folder
        Where the file goes.

    Returns
    -------
    The place that it came from, None if the file is optional and nowhere, and what came of each attempt: ``kind``,
    ``where`` and ``outcome`` (``taken``, or why it was not), the same on every machine.

    Raises
    ------
    Absent
        If none has it and it is not optional.
    InputError
        If a place fails otherwise.
    """
    attempts: list[dict[str, str]] = []
    said: list[str] = []

    def note(one: dict[str, Any], outcome: str, advice: str = "") -> None:
        attempts.append({"kind": kind_of(one, target), "where": describe_anywhere(one, target), "outcome": outcome})
        click.echo(f"{where}: {target} ({attempts[-1]['where']}): {outcome}{advice and f'; {advice}'}")

    for one in settled(source, target):
        try:
            gets[kind_of(one, target)](one, folder)
        except Absent as error:
            place = one["files"][target].get("where") or one.get("where")
            note(one, error.reason, "" if place is None else f"to get it: {' '.join(str(place).split())}")
            said.append(error.message)
        else:
            note(one, "taken")
            return one["files"][target], attempts
    if source["files"][target].get("optional", False):
        return None, attempts
    listed = " ".join(f"({number}) {message}" for number, message in enumerate(said, 1))
    reason = f"in none of {len(said)} places"
    raise Absent(f"{where}: {target} is {reason}, give another one, or `optional: true`: {listed}", reason)
