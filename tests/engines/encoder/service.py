"""An embeddings service on this machine that speaks OpenAI's protocol, and misbehaves when it is told to."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

N_DIMENSIONS = 12
PATHS = ("/embeddings", "/v1/embeddings")


def vector(text: str, n_dimensions: int = N_DIMENSIONS) -> np.ndarray:
    """What the service answers for a text: a unit vector that depends on nothing else."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    found = np.random.default_rng(seed).normal(size=n_dimensions).astype(np.float32)
    return found / np.linalg.norm(found)


def n_tokens(text: str) -> int:
    """What the service counts for a text: less than its bytes."""
    return 1 + len(text.encode()) // 3


class Service(ThreadingHTTPServer):
    """Answers until told otherwise.

    ``moods`` holds what happens to the next requests, each a function that gets the handler and returns True if it has
    answered. From the request number ``n_free`` on, requests wait for ``gate``; ``n_held`` of them set ``full``.
    Requests and answers are counted before the answer is sent.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.moods: deque[Callable[[Handler], bool]] = deque()
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
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        service = self.server
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with service.lock:
            service.bodies.append(self.body)
            service.authorizations.append(self.headers.get("Authorization"))
            service.under_way += 1
            service.most_under_way = max(service.most_under_way, service.under_way)
            mood = service.moods.popleft() if service.moods else None
            held = len(service.bodies) > service.n_free
            service.held += held
            if service.held >= service.n_held:
                service.full.set()
        if held:
            service.gate.wait()
        if mood is None or not mood(self):
            self.embed()

    def embed(self) -> None:
        service, body = self.server, self.body
        if self.path not in PATHS:
            return self.fail(404, "no such path")
        if service.key is not None and self.headers.get("Authorization") != f"Bearer {service.key}":
            return self.fail(401, f"Incorrect API key provided: {self.headers.get('Authorization')}")
        if body["model"] != service.model:
            return self.fail(404, "The model does not exist")
        if service.only_float and body.get("encoding_format") == "base64":
            return self.fail(400, "encoding_format must be float")
        rows = []
        for index, text in enumerate(body["input"]):
            found = vector(text, body.get("dimensions", N_DIMENSIONS))
            as_text = base64.b64encode(found.astype("<f4").tobytes()).decode()
            embedding = as_text if body.get("encoding_format") == "base64" else found.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": embedding})
        rows.reverse()  # the protocol numbers the vectors and promises no order
        counts = [service.count(text) for text in body["input"]]
        answer = {"object": "list", "model": body["model"], "data": rows}
        if None not in counts:
            answer["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
        with service.lock:
            service.served.update(body["input"])
        self.answer(200, json.dumps(answer).encode())

    def fail(self, status: int, message: str, **headers: str) -> None:
        error = {"message": message, "type": "some_error", "code": None, "param": None}
        self.answer(status, json.dumps({"error": error}).encode(), **headers)

    def answer(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        with self.server.lock:
            self.server.under_way -= 1
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # whoever asked is gone
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


def failing(status: int, message: str = "busy", pause_ms: str = "1") -> Callable[[Handler], bool]:
    """A mood: an error, and the pause that the server asks for."""

    def mood(handler: Handler) -> bool:
        handler.fail(status, message, retry_after_ms=pause_ms)
        return True

    return mood


def saying(body: bytes, kind: str = "application/json") -> Callable[[Handler], bool]:
    """A mood: a good status with this body."""

    def mood(handler: Handler) -> bool:
        handler.answer(200, body, kind)
        return True

    return mood
