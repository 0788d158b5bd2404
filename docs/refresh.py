"""Put the tables and the picture of the last run into the README: ``make readme``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

TABLES = ("table2", "table_c4", "section_4_4")
PICTURE = Path("plots/umap/covid/genept_w_minilm.png")


def main() -> None:
    """Replace what is between the markers of README.md, and docs/figure_3_covid.png."""
    tables = [Path(f"metrics/{name}.md").read_text(encoding="utf-8").strip() for name in TABLES]
    tables = [re.sub(r"^# ", "### ", table) for table in tables]
    block = "\n\n".join(["<!-- tables -->", *tables, "<!-- /tables -->"])
    readme = Path("README.md")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(
        re.sub(r"<!-- tables -->.*<!-- /tables -->", lambda _: block, text, flags=re.DOTALL), encoding="utf-8"
    )
    shutil.copyfile(PICTURE, "docs/figure_3_covid.png")


if __name__ == "__main__":
    main()
