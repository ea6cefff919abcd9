"""A self-contained page from one of the templates: no network, no file beside it."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2

from cyan.proof.wording import milliseconds, rate

TEMPLATES = Path(__file__).parent / "templates"


def page(template: str, *, figures: object = None, **context: object) -> str:
    """The page's text. `figures` is what its script draws with plotly."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True)
    environment.filters |= {"rate": rate, "ms": milliseconds}
    drawn = {}
    if figures is not None:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - heavy

        text = json.dumps(figures).replace("</", "<\\/")
        drawn = {"figures": text, "plotly": str(get_plotlyjs())}
    return environment.get_template(template).render(**context, **drawn)
