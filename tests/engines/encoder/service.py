"""An embeddings service on this machine that speaks OpenAI's protocol, and misbehaves when it is told to."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.downloads.loopback import Answer, Request, Server

N_DIMENSIONS = 12
JSON = {"Content-Type": "application/json"}
Mood = Callable[[Request], Answer | None]


def vector(text: str, n_dimensions: int = N_DIMENSIONS) -> np.ndarray:
    """What the service answers for a text: a unit vector that depends on nothing else."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    found = np.random.default_rng(seed).normal(size=n_dimensions).astype(np.float32)
    return found / np.linalg.norm(found)


def n_tokens(text: str) -> int:
    """What the service counts for a text: less than its bytes."""
    return 1 + len(text.encode()) // 3


class Service:
    """Answers until told otherwise.

    ``moods`` holds what the next requests get in place of vectors. From the request number ``n_free`` on, requests wait
    for ``gate``; ``n_held`` of them set ``full``. Requests and answers are counted before the answer is sent.
    """

    def __init__(self) -> None:
        self.server: Server
        self.moods: deque[Mood] = deque()
        self.count: Callable[[str], int | None] = n_tokens
        self.key: str | None = None
        self.only_float = False
        self.model = "text-embedding-ada-002"
        self.lock = threading.Lock()
        self.served: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.under_way = self.most_under_way = 0
        self.gate, self.full = threading.Event(), threading.Event()
        self.n_free, self.n_held, self.held = 10**9, 1, 0

    @property
    def url(self) -> str:
        return f"{self.server.address}/v1"

    def answer(self, request: Request) -> Answer:
        body = json.loads(request.body)
        with self.lock:
            self.bodies.append(body)
            self.authorizations.append(request.headers.get("authorization"))
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            mood = self.moods.popleft() if self.moods else lambda _: None
            held = len(self.bodies) > self.n_free
            self.held += held
            if self.held >= self.n_held:
                self.full.set()
        if held:
            self.gate.wait()
        answer = mood(request) or self.embed(request, body)
        with self.lock:
            self.under_way -= 1
        return answer

    def embed(self, request: Request, body: dict[str, Any]) -> Answer:
        authorization = request.headers.get("authorization")
        if request.path not in ("/embeddings", "/v1/embeddings"):
            return failure(404, "no such path")
        if self.key is not None and authorization != f"Bearer {self.key}":
            return failure(401, f"Incorrect API key provided: {authorization}")
        if body["model"] != self.model:
            return failure(404, "The model does not exist")
        if self.only_float and body.get("encoding_format") == "base64":
            return failure(400, "encoding_format must be float")
        rows = []
        for index, text in enumerate(body["input"]):
            found = vector(text, body.get("dimensions", N_DIMENSIONS))
            as_text = base64.b64encode(found.astype("<f4").tobytes()).decode()
            embedding = as_text if body.get("encoding_format") == "base64" else found.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": embedding})
        rows.reverse()  # the protocol numbers the vectors and promises no order
        counts = [self.count(text) for text in body["input"]]
        answer = {"object": "list", "model": body["model"], "data": rows}
        if None not in counts:
            answer["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
        with self.lock:
            self.served.update(body["input"])
        return Answer(200, json.dumps(answer).encode(), JSON)


def failure(status: int, message: str) -> Answer:
    """An error, and the shortest pause that a server can ask for."""
    error = {"message": message, "type": "some_error", "code": None, "param": None}
    return Answer(status, json.dumps({"error": error}).encode(), {**JSON, "Retry-After-Ms": "1"})


def failing(status: int, message: str = "busy") -> Mood:
    """A mood: an error."""
    return lambda _: failure(status, message)


def saying(body: bytes, kind: str = "application/json") -> Mood:
    """A mood: a good status with this body."""
    return lambda _: Answer(200, body, {"Content-Type": kind})
