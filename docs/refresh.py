"""Put what the last run found into the README: ``make readme``."""

from __future__ import annotations

import re
from pathlib import Path

README, ANSWER = Path("README.md"), Path("metrics/answer.md")
BEGIN, END = "<!-- answer -->", "<!-- /answer -->"
PICTURE = """<picture>
  <source media="(prefers-color-scheme: dark)" srcset="plots/summary_dark.svg">
  <img src="plots/summary_light.svg"
    alt="Main scores of every model on every dataset, with ranges; the table below has the accuracies">
</picture>"""


def refreshed(readme: str, answer: str) -> str:
    """Return the README with the picture and the answer between its markers."""
    block = f"{BEGIN}\n\n{PICTURE}\n\n{answer}\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: block, readme, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(
        refreshed(README.read_text(encoding="utf-8"), ANSWER.read_text(encoding="utf-8")), encoding="utf-8"
    )
