"""What a run may cost: no batch is sent that could bring the server's own count of tokens above ``max_usd``."""

from __future__ import annotations

import threading

from genept.core.errors import InputError

MILLION = 1_000_000


class Budget:
    """Tokens counted by the server, and tokens of batches that are under way; for several threads.

    Parameters
    ----------
    max_usd
        What the run may cost.
    usd_per_million_tokens
        The price.
    """

    def __init__(self, max_usd: float, usd_per_million_tokens: float) -> None:
        self.max_usd, self.price = max_usd, usd_per_million_tokens
        self.n_tokens = 0  # counted by the server
        self._under_way = 0  # estimated
        self._ratio = 1.0  # the server's count of a batch, in estimates, where that was ever more than 1
        self._lock = threading.Lock()

    def usd(self, n_tokens: float) -> float:
        """Return the price of tokens."""
        return n_tokens * self.price / MILLION

    def reserve(self, estimate: int) -> None:
        """Take the tokens of a batch into account before it is sent.

        Raises
        ------
        InputError
            If with them the run could cost more than it may.
        """
        with self._lock:
            n_tokens = self.n_tokens + (self._under_way + estimate) * self._ratio
            if self.usd(n_tokens) > self.max_usd:
                raise InputError(
                    f"stopped at {self.n_tokens:,} tokens by the server's count, ${self.usd(self.n_tokens):.4f}: the "
                    f"next texts could cost more than max_usd {self.max_usd:g}; what came is kept, raise max_usd in "
                    "params.yaml to go on"
                )
            self._under_way += estimate

    def settle(self, estimate: int, counted: int | None) -> None:
        """Replace a batch's estimate by the server's count; None, from a server that counts nothing, keeps it."""
        with self._lock:
            self._under_way -= estimate
            self.n_tokens += estimate if counted is None else counted
            if counted is not None and estimate:
                self._ratio = max(self._ratio, counted / estimate)

    def release(self, estimate: int) -> None:
        """Forget a batch that got no answer."""
        with self._lock:
            self._under_way -= estimate
