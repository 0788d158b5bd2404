"""A stand-in for the part of torchtext that the ``scgpt`` package imports: ``torchtext.vocab.Vocab`` and ``vocab``.

torchtext is no longer developed and its compiled library does not load beside current versions of torch, while scgpt
needs of it only a dictionary with an order. This file has that dictionary, with torchtext's names and errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import ModuleType


class Vocab:
    """Tokens numbered from 0, as ``torchtext.vocab.Vocab``.

    Parameters
    ----------
    tokens
        The tokens in order, or another vocabulary to copy.
    """

    def __init__(self, tokens: Iterable[str] | Vocab = ()) -> None:
        self._tokens: list[str] = tokens.get_itos() if isinstance(tokens, Vocab) else list(tokens)
        self._default = tokens.get_default_index() if isinstance(tokens, Vocab) else None
        self._index()

    def _index(self) -> None:
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        if len(self._ids) != len(self._tokens):
            raise RuntimeError("a token occurs twice in the vocabulary")

    @property
    def vocab(self) -> Vocab:
        """The object that holds the tokens; torchtext keeps it in C++, here it is the vocabulary itself."""
        return self

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        """Tell whether a token is in the vocabulary, whatever the default index."""
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """Return a token's number, else the default index, else raise `RuntimeError`."""
        number = self._ids.get(token, self._default)
        if number is None:
            raise RuntimeError(f"token {token} is not in the vocabulary and no default index is set")
        return number

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        """Return the numbers of several tokens."""
        return self.lookup_indices(tokens)

    def insert_token(self, token: str, index: int) -> None:
        """Insert a new token at `index` (0 to the length); the tokens from there on move up by one."""
        if token in self._ids:
            raise RuntimeError(f"token {token} is already in the vocabulary with index {self._ids[token]}")
        if not 0 <= index <= len(self._tokens):
            raise RuntimeError(f"index {index} is outside 0 to {len(self._tokens)}")
        self._tokens.insert(index, token)
        if index == len(self._ids):  # the usual case when a file is read; no other token moves
            self._ids[token] = index
        else:
            self._index()

    def append_token(self, token: str) -> None:
        """Add a new token at the end."""
        self.insert_token(token, len(self._tokens))

    def set_default_index(self, index: int | None) -> None:
        """Set the number given for unknown tokens."""
        self._default = index

    def get_default_index(self) -> int | None:
        """Return the number given for unknown tokens, if one is set."""
        return self._default

    def get_stoi(self) -> dict[str, int]:
        """Return a dictionary from token to number."""
        return dict(self._ids)

    def get_itos(self) -> list[str]:
        """Return the tokens in order."""
        return list(self._tokens)

    def lookup_token(self, index: int) -> str:
        """Return the token with a number; a number out of range raises `RuntimeError`."""
        if not 0 <= index < len(self._tokens):
            raise RuntimeError(f"index {index} is outside 0 to {len(self._tokens) - 1}")
        return self._tokens[index]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        """Return the tokens with the given numbers."""
        return [self.lookup_token(index) for index in indices]

    def lookup_indices(self, tokens: Iterable[str]) -> list[int]:
        """Return the numbers of several tokens."""
        return [self[token] for token in tokens]


def vocab(
    ordered_dict: Mapping[str, int],
    min_freq: int = 1,
    specials: Iterable[str] | None = None,
    special_first: bool = True,
) -> Vocab:
    """Make a vocabulary of the tokens with a frequency of at least `min_freq`, in the mapping's order."""
    extra = list(specials or ())
    tokens = [token for token, frequency in ordered_dict.items() if frequency >= min_freq and token not in extra]
    return Vocab(extra + tokens if special_first else tokens + extra)


def install() -> None:
    """Make ``import torchtext.vocab`` work: with the real one where it loads, else with this file."""
    try:
        import torchtext.vocab  # noqa: F401
    except (ImportError, OSError, RuntimeError):  # absent; or its library does not match torch
        for name in [name for name in sys.modules if name.split(".")[0] == "torchtext"]:
            del sys.modules[name]
        package, module = ModuleType("torchtext"), ModuleType("torchtext.vocab")
        package.__path__ = []
        module.__dict__.update(Vocab=Vocab, vocab=vocab)
        package.__dict__["vocab"] = module
        sys.modules |= {"torchtext": package, "torchtext.vocab": module}
