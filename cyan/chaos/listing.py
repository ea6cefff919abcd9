"""`inv chaos --list`: the catalogue, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyan.chaos.catalogue import FAULTS
from cyan.proof.scenario import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from cyan.chaos.draw import Drawn
    from cyan.chaos.fault import Expectation

LIVE = {
    Traffic.SWITCH: "switches",
    Traffic.UNTOUCHED: "untouched",
    Traffic.BACK: "switches back",
    Traffic.EITHER: "by the moment",
}


def show_catalogue(console: Console, drawn: Sequence[Drawn]) -> None:
    """Print every fault with what must be seen of it, and what the seed draws, in order."""
    for each in FAULTS:
        made = each()
        expects = made.expects
        live = "by the moment" if "moment" in each.choices else LIVE[expects.traffic]
        console.print(f"[bold]{each.name}[/bold] [dim]{each.group}[/dim]  {made.tells}")
        alone = f"; only by --only: {each.alone}" if each.alone else ""
        console.print(f"    [dim]live color: {live}; drops: {_drops(expects)}{alone}[/dim]")
    console.print("\ndrawn: " + ", ".join(each.title for each in drawn), markup=False)


def _drops(expects: Expectation) -> str:
    return f"while it is there, of {expects.outage:g} s at most" if expects.outage else "none"
