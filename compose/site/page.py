"""The page of the demo: each version looks different, so a person sees what was deployed."""

from __future__ import annotations

LOOKS = {
    "v1": ("#f6f8fb", "◐", "The first release."),
    "v2": ("#fff7e6", "◓", "The second one, warmer."),
    "v3": ("#f3ecff", "◑", "The third, in violet."),
}
COLORS = {"blue": "#1f6feb", "green": "#1a9c4b"}

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>cyan demo {version}</title>
<style>
  body {{ margin:0; min-height:100vh; display:grid; place-items:center; background:{paper};
         font:18px/1.5 system-ui, sans-serif; color:#1b1f24 }}
  main {{ text-align:center; padding:3rem; border-top:.6rem solid {accent}; background:#fff;
         border-radius:.6rem; box-shadow:0 1rem 3rem #0002 }}
  h1 {{ font-size:5rem; margin:0; color:{accent} }}
  b {{ color:{accent} }}
</style>
<main><h1>{sign} {version}</h1><p>answered by <b>{color}</b></p><p>{text}</p>
<p><small>cyan demo</small></p></main>
"""


def page(color: str, version: str) -> str:
    """The page as HTML."""
    paper, sign, text = LOOKS.get(version, ("#eeeeee", "●", "Another release."))
    accent = COLORS.get(color, "#555555")
    return PAGE.format(
        color=color, version=version, paper=paper, sign=sign, text=text, accent=accent
    )
