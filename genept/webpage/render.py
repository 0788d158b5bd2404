"""Put the views into one HTML file: styles, libraries, scripts and data stand inside it, so that it needs no request.

Labels come from data: Jinja escapes them in HTML, `as_json` in scripts, and ``page.js`` writes them as text only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from genept.webpage.sources import View

HERE = Path(__file__).parent


def environment() -> jinja2.Environment:
    """Return the templates of this folder, with everything escaped and no undefined name forgiven."""
    loader = jinja2.FileSystemLoader(HERE)
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    made.filters |= {"code": with_code, "capitalised": capitalised}
    return made


def with_code(text: str) -> Markup:
    """Set what stands between backticks as code; everything is escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def capitalised(text: str) -> str:
    """Begin a text with a capital letter and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def html(template: str, **values: Any) -> Markup:
    """Fill a template of this folder."""
    return Markup(environment().get_template(template).render(**values))


def as_json(data: Any) -> Markup:
    """Write data for a script element: nothing in it can end the element; NaN is refused, since JSON has none."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


def part(name: str) -> Markup:
    """Return a style or script of this folder as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def page(title: str, header: Markup, views: Iterable[View]) -> str:
    """Return the page: its header, then the views, of which a browser shows one at a time and prints all."""
    views = list(views)
    scripts = ["libraries/libraries.js", "page.js", *(f"{view.name}.js" for view in views if view.data is not None)]
    styles = ["libraries/libraries.css", "page.css"]
    styles += [name for view in views if (HERE / (name := f"{view.name}.css")).is_file()]
    text = html(
        "page.html",
        title=title,
        header=header,
        views=views,
        data={view.name: as_json(view.data) for view in views if view.data is not None},
        styles=[part(name) for name in styles],
        scripts=[part(name) for name in scripts],
        licences=(HERE / "libraries/licences.txt").read_text(encoding="utf-8"),
    )
    return f"{text}\n"
