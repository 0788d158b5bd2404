"""What goes wrong on the way, each once and at a place that is known, so that it can be checked that it did."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.downloads.loopback import Answer, Request

if TYPE_CHECKING:
    from rehearsal.proxy import Entry

LONG = 3600  # seconds that nobody waits for: the stage ends with one line, and the next run goes on


def busy(answer: Answer) -> Answer:
    """Say that there were too many requests, and to come again in a second."""
    return Answer(429, b"Too Many Requests", {"Retry-After": "1", "Content-Type": "text/plain"})


def closed(answer: Answer) -> Answer:
    """Say that there were too many requests, and to come again in an hour."""
    return Answer(429, b"Too Many Requests", {"Retry-After": str(LONG), "Content-Type": "text/plain"})


def unavailable(answer: Answer) -> Answer:
    """Say that the service is down."""
    return Answer(503, b"Service Unavailable", {"Content-Type": "text/plain"})


def reset(answer: Answer) -> Answer:
    """Break off in the middle of the body, if it is a file."""
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        return answer
    return dataclasses.replace(answer, cut=max(1, len(answer.body) // 2))


def reset_late(answer: Answer) -> Answer:
    """Break off near the end: of what gdown has not whole pieces of 512 KiB it keeps nothing."""
    found = reset(answer)
    return found if found is answer else dataclasses.replace(found, cut=len(answer.body) * 15 // 16)


def altered(answer: Answer) -> Answer:
    """Give another file of the same length."""
    half = len(answer.body) // 2
    return dataclasses.replace(answer, body=answer.body[:half] + bytes(255 - byte for byte in answer.body[half:]))


def quota(answer: Answer) -> Answer:
    """Give Google Drive's page for a file that too many have downloaded."""
    text = "Sorry, you can't view or download this file at this time. Too many users have viewed or downloaded it."
    page = f'<html><p class="uc-error-caption">Sorry</p><p class="uc-error-subcaption">{text}</p></html>'
    return Answer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


@dataclass
class Trouble:
    """What happens to the requests of one path, one after another; when all has happened, it is served well."""

    host: str
    path: str
    what: list[Callable[[Answer], Answer]]
    n_done: int = 0

    def is_of(self, request: Request) -> bool:
        looks = request.method == "HEAD" or request.headers.get("range") == "bytes=0-0"  # at what is said of a file
        return not looks and (request.headers["host"], request.path) == (self.host, self.path)


class Troubles:
    """All troubles of a run."""

    def __init__(self) -> None:
        self.all: list[Trouble] = []
        self.lock = threading.Lock()

    def add(self, host: str, path: str, *what: Callable[[Answer], Answer]) -> None:
        self.all.append(Trouble(host, path, list(what)))

    def into(self, request: Request, answer: Answer) -> tuple[Answer, str]:
        """Put a good answer into the next trouble of its path, if there is one left; return the trouble's name, too."""
        if answer.status not in (200, 206):
            return answer, ""
        with self.lock:
            for trouble in self.all:
                if trouble.is_of(request) and trouble.n_done < len(trouble.what):
                    what = trouble.what[trouble.n_done]
                    if (changed := what(answer)) is answer:  # not of this one
                        break
                    trouble.n_done += 1
                    return changed, what.__name__
        return answer, ""

    def missed(self, log: list[Entry]) -> list[str]:
        """Say what did not happen, or was not got over as it should be: by asking for the rest of a file only."""
        said = []
        for trouble in self.all:
            where = f"{trouble.host}{trouble.path}"
            of_path = [entry for entry in log if (entry.host, entry.path) == (trouble.host, trouble.path)]
            if trouble.n_done < len(trouble.what):
                said.append(f"{where}: {trouble.what[trouble.n_done].__name__} did not happen")
            elif not of_path or of_path[-1].trouble or of_path[-1].status not in (200, 206):
                said.append(f"{where}: was not fetched after its troubles")
            elif any(entry.trouble.startswith("reset") and entry.method == "GET" for entry in of_path) and not any(
                entry.first_byte and entry.status == 206 for entry in of_path
            ):
                said.append(f"{where}: started again after a reset instead of going on")
        return said
