"""A self-contained page from one of the templates: no network, no file beside it."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from pathlib import Path

import jinja2

from cyan.proof.wording import milliseconds, number, rate, ratio

TEMPLATES = Path(__file__).parent / "templates"
PLOTLY = TEMPLATES / "plotly.min.js"
"""What of plotly draws our figures, a third of it; `setup` fetches it."""


def page(template: str, *, figures: object = None, **context: object) -> str:
    """The page's text. `figures` is what its script draws with plotly, which the page holds."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters |= {"rate": rate, "ms": milliseconds, "number": number, "ratio": ratio}
    drawn = {}
    if figures is not None:
        text = json.dumps(figures).replace("</", "<\\/")
        drawn = {"figures": text, "plotly": _plotly()}
    return environment.get_template(template).render(**context, **drawn)


@cache
def _plotly() -> str:
    """The drawing library, gzip in Base64: a page unpacks it. All of it where setup had no part."""
    if PLOTLY.exists():
        whole = PLOTLY.read_bytes()
    else:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - heavy

        whole = str(get_plotlyjs()).encode()
    return base64.b64encode(gzip.compress(whole, mtime=0)).decode()
