"""An embeddings API that speaks OpenAI's protocol, whose vectors say which words come first in a text."""

from __future__ import annotations

import base64
import json

import numpy as np

from tests.downloads.loopback import Answer, Request
from tests.engines.encoder.service import n_tokens, vector

N_DIMENSIONS = {"text-embedding-ada-002": 1536, "text-embedding-3-large": 3072}
JSON = {"Content-Type": "application/json"}


class Embeddings:
    """Answers to who has the key; counts what it read."""

    def __init__(self, key: str) -> None:
        self.key, self.n_texts = key, 0
        self.words: dict[tuple[str, int], np.ndarray] = {}

    def __call__(self, request: Request, body: bytes) -> Answer:
        if request.path != "/v1/embeddings" or request.method != "POST":
            return error(404, "Unknown request URL")
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {request.headers.get('authorization')}")
        asked = json.loads(body)
        width = N_DIMENSIONS.get(asked["model"])
        if width is None:
            return error(404, f"The model `{asked['model']}` does not exist")
        width = asked.get("dimensions") or width
        rows = []
        for index, text in enumerate(asked["input"]):
            found = self.embed(text, width)
            text64 = base64.b64encode(found.astype("<f4").tobytes()).decode()
            coded = text64 if asked.get("encoding_format") == "base64" else found.tolist()
            rows.append({"object": "embedding", "index": index, "embedding": coded})
        self.n_texts += len(rows)
        n = sum(n_tokens(text) for text in asked["input"])
        usage = {"prompt_tokens": n, "total_tokens": n}
        answer = {"object": "list", "model": asked["model"], "data": rows, "usage": usage}
        return Answer(200, json.dumps(answer).encode(), JSON)

    def embed(self, text: str, width: int) -> np.ndarray:
        """Return a unit vector: the sum of one for each word, less for a later one."""
        words = text.split(": ", 1)[-1].split()
        for word in words:
            if (word, width) not in self.words:
                self.words[word, width] = vector(word, width)
        weights = 1 / np.sqrt(np.arange(1, len(words) + 1))
        found = weights @ np.array([self.words[word, width] for word in words])
        return found / np.linalg.norm(found)


def error(status: int, message: str) -> Answer:
    content = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return Answer(status, json.dumps(content).encode(), JSON)
