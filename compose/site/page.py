"""The page of the demo: each version looks different, so a person sees what was deployed."""

from __future__ import annotations

from html import escape

LOOKS = {
    "v1": ("#eaf1fb", "#ffffff", "#1b1f24", "the first release: plain paper"),
    "v2": ("#ffd9a0", "#fff7e8", "#3a2a10", "the second release: warm sand"),
    "v3": ("#1d1233", "#2c1d4d", "#efe6ff", "the third release: night violet"),
}
"""Background, card, text, and a sentence, of each version that the lab ships."""
OTHER = ("#e4e4e4", "#ffffff", "#222222", "a release of your own")

LIGHTS = {"blue": "#2f81f7", "green": "#2da44e"}
UNLIT = "#8885"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{version} on {color} · cyan demo</title>
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: {back};
  color: {ink}; font: 17px/1.5 system-ui, sans-serif }}
main {{ max-width: 26rem; margin: 1rem; padding: 2.2rem 2.6rem; background: {card};
  border-radius: 1rem; box-shadow: 0 1rem 3rem #0003; text-align: center }}
.lights {{ display: flex; justify-content: center; gap: 1.2rem }}
.lights i {{ width: 3.4rem; height: 3.4rem; border-radius: 50% }}
h1 {{ margin: 1.2rem 0 0; font-size: 4.5rem; line-height: 1 }}
b {{ color: {light} }}
small {{ display: block; margin-top: 1.4rem; opacity: .75 }}
</style></head>
<body><main>
<div class="lights"><i style="background:{blue}"></i><i style="background:{green}"></i></div>
<h1>{version}</h1>
<p>answered by <b>{color}</b><br>{text}</p>
<small>This is the demo of <strong>cyan</strong>, which rotates a site between blue and green
without dropping a request. Deploy another version, load the page again.</small>
</main></body></html>
"""


def page(color: str, version: str) -> str:
    """The page as HTML."""
    back, card, ink, text = LOOKS.get(version, OTHER)
    lit = {name: light if name == color else UNLIT for name, light in LIGHTS.items()}
    light = LIGHTS.get(color, UNLIT)
    look = {"back": back, "card": card, "ink": ink, "text": text, "light": light, **lit}
    return PAGE.format(color=escape(color), version=escape(version), **look)
