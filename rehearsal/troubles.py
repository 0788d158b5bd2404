"""What goes wrong on purpose: at a known place and a known number of times, so that it can be checked that it did."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rehearsal.proxy import Exchange
from tests.downloads.loopback import Answer, Request

Change = Callable[[Answer], Answer]
LONG = 3600  # seconds that nobody waits for: the stage ends with one line, and the next run goes on


def busy(answer: Answer) -> Answer:
    """Too many requests: come again in a second."""
    return Answer(429, b"Too Many Requests", {"Retry-After": "1", "Content-Type": "text/plain"})


def closed(answer: Answer) -> Answer:
    """Too many requests: come again in an hour."""
    return Answer(429, b"Too Many Requests", {"Retry-After": str(LONG), "Content-Type": "text/plain"})


def unavailable(answer: Answer) -> Answer:
    """The service is down."""
    return Answer(503, b"Service Unavailable", {"Content-Type": "text/plain"})


def broken(answer: Answer, share: float = 1 / 2) -> Answer:
    """The connection ends in the middle of the body."""
    return dataclasses.replace(answer, cut=max(1, int(len(answer.body) * share)))


def broken_late(answer: Answer) -> Answer:
    """The connection ends near the end of a file, since gdown keeps only whole pieces of 512 KiB; pages are whole."""
    return answer if answer.headers["Content-Type"].startswith("text/html") else broken(answer, 15 / 16)


def altered(answer: Answer) -> Answer:
    """Another file of the same length comes."""
    half = len(answer.body) // 2
    return dataclasses.replace(answer, body=answer.body[:half] + bytes(255 - byte for byte in answer.body[half:]))


def quota(answer: Answer) -> Answer:
    """Google Drive's page for a file that too many have downloaded."""
    text = "Sorry, you can't view or download this file at this time. Too many users have viewed or downloaded it."
    page = f'<html><p class="uc-error-caption">Sorry</p><p class="uc-error-subcaption">{text}</p></html>'
    return Answer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


@dataclass
class Trouble:
    """What happens to the requests of one host and path, one after another; then they are answered well."""

    place: tuple[str, str]
    changes: Sequence[Change]
    n_done: int = 0


class Troubles:
    """All troubles of a run."""

    def __init__(self) -> None:
        self.all: list[Trouble] = []
        self.lock = threading.Lock()
        self.is_held_back = False

    def add(self, place: tuple[str, str], *changes: Change) -> None:
        """Let changes befall the next answers of a host and path."""
        self.all.append(Trouble(place, changes))

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Let nothing go wrong for a while."""
        self.is_held_back = True
        yield
        self.is_held_back = False

    def apply(self, request: Request, answer: Answer) -> tuple[Answer, str]:
        """Return an answer as its next trouble leaves it, and the trouble's name; questions about a file have none."""
        is_question = request.method == "HEAD" or request.headers.get("range") == "bytes=0-0"
        if self.is_held_back or answer.status not in (200, 206) or is_question:
            return answer, ""
        with self.lock:
            for trouble in self.all:
                if trouble.place == (request.headers["host"], request.path) and trouble.n_done < len(trouble.changes):
                    change = trouble.changes[trouble.n_done]
                    changed = change(answer)
                    trouble.n_done += changed is not answer
                    return changed, change.__name__ if changed is not answer else ""
        return answer, ""

    def missed(self, log: list[Exchange]) -> list[str]:
        """Say what did not happen, and what a client did not get over by asking for the rest of a file only."""
        wrong = []
        for trouble in self.all:
            where = "".join(trouble.place)
            exchanges = [one for one in log if one.place == trouble.place]
            is_cut = any(one.trouble.startswith("broken") and one.request.method == "GET" for one in exchanges)
            if trouble.n_done < len(trouble.changes):
                wrong.append(f"{where}: {trouble.changes[trouble.n_done].__name__} did not happen")
            elif not exchanges or exchanges[-1].trouble or exchanges[-1].answer.status not in (200, 206):
                wrong.append(f"{where}: was not fetched after its troubles")
            elif is_cut and not any(one.is_continued for one in exchanges):
                wrong.append(f"{where}: started again after a broken connection instead of going on")
        return wrong
