"""The stack of a pickle's machine, and its memo: what has a number, for later references."""

from __future__ import annotations

import bisect
from typing import Any

from genept.core.pickles._numpy import Row


class Stack:
    """What was made so far."""

    def __init__(self) -> None:
        self.stack: list[Any] = []  # above the last mark
        self.below: list[list[Any]] = []  # the stack below each mark
        self.memo: dict[int, Any] = {}
        self.rows: list[Row] = []  # of the memo
        self.n_memo = 0

    def push(self, item: Any) -> None:
        """Put on the stack."""
        self.stack.append(item)

    def pop(self, n_items: int) -> tuple[Any, ...]:
        """Take from the stack."""
        if len(self.stack) < n_items:
            raise ValueError("it takes what it never made")
        items = tuple(self.stack[-n_items:])
        del self.stack[-n_items:]
        return items

    def top(self) -> Any:
        """Look at the top of the stack."""
        if not self.stack:
            raise ValueError("it takes what it never made")
        return self.stack[-1]

    def mark(self) -> None:
        """Begin to collect."""
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        """Take what was collected since the last mark."""
        if not self.below:
            raise ValueError("it takes what it never made")
        items, self.stack = self.stack, self.below.pop()
        return items

    def drop(self) -> None:
        """Take one thing away, be it a mark."""
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()

    def drop_to_mark(self) -> None:
        """Take away what was collected since the last mark."""
        self.to_mark()

    def remember(self, key: int) -> None:
        """Give the top of the stack a number, for later references."""
        self.n_memo += key not in self.memo
        self.memo[key] = self.top()

    def recall(self, key: int) -> None:
        """Put on the stack what has that number."""
        if key in self.memo:
            item = self.memo[key]
        else:
            place = bisect.bisect(self.rows, key, key=lambda row: row.first_key) - 1
            if place < 0 or key - self.rows[place].first_key >= self.rows[place].n_keys:
                raise ValueError(f"it refers to a thing number {key} that it never made")
            item = self.rows[place].recall(key)
        self.push(item)
