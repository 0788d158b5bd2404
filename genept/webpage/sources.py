"""What the views of the page are made of: everything that the report has read and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from markupsafe import Markup

from genept.report import answer
from genept.report.pairs import Key, Run
from genept.report.paper import Paper
from genept.report.significance import Differences
from genept.report.text_effect import Line
from genept.report.tracking import Counterparts, Tracked
from genept.report.tracking_rows import TrackedRow
from genept.repository.lock import Lock


@dataclass(frozen=True)
class Sources:
    """The run with its comparisons by dataset, the effect of text, and the paper's numbers with ours beside them.

    `agreements` are the scores of cell types by clusters and markers against the authors' labels, by dataset; `lock`
    is what ``dvc.lock`` records.
    """

    run: Run
    comparisons: Mapping[str, Mapping[Key, Differences]]
    effects: Sequence[Line]
    paper: Paper
    counterparts: Counterparts
    numbers: Sequence[Tracked]
    rows: Sequence[TrackedRow]
    agreements: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    lock: Lock = field(default_factory=dict)

    @cached_property
    def answer(self) -> list[str]:
        """The answer in sentences."""
        return answer.sentences(
            self.run, self.comparisons, self.effects, self.paper, self.counterparts, self.numbers, self.rows
        )


class View(NamedTuple):
    """A part of the page: its name in the URL's hash, its heading, what stands there, and what its script draws."""

    name: str
    title: str
    html: Markup
    data: dict[str, Any] | None = None  # JSON; None of a view without script
