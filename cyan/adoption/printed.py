"""A proposal for people, and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from cyan.adoption.proposal import Proposal, Route

COLORS = {"web": "green", "worker": "green", "scheduler": "yellow", "once": "green"}


def show(proposal: Proposal, console: Console) -> None:
    """Each service with its role and why; then what users reach, questions, refusals, notes."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("service", "is", "because"):
        table.add_column(heading)
    for each in proposal.services:
        color = COLORS.get(each.role, "cyan")
        guess = "" if each.sure else " (a guess)"
        table.add_row(escape(each.name), f"[{color}]{each.role}[/]", escape(f"{each.why}{guess}"))
    console.print(table)
    for route in proposal.routes:
        console.print(f"route    {place(route)} → {route.service}:{route.port}", markup=False)
    for note in proposal.notes:
        console.print(f"[dim]note     {escape(note)}[/dim]")
    for question in proposal.questions:
        console.print(f"[yellow]decide[/]   {escape(question.asks)}")
        console.print(f"[dim]         the safe answer: {escape(question.safe)}[/dim]")
    for refusal in proposal.refusals:
        console.print(f"[red]refused[/]  {escape(str(refusal))}")
    console.print(f"\n[bold]{sentence(proposal)}[/]")


def sentence(proposal: Proposal) -> str:
    """What it comes to."""
    rotating = [each.name for each in proposal.services if each.role.rotates]
    if proposal.refusals:
        return "It cannot be rotated as it is."
    if proposal.questions:
        number = len(proposal.questions)
        what = "one thing is" if number == 1 else f"{number} things are"
        return f"It can be rotated once {what} decided."
    return f"It can be rotated as it is: {', '.join(rotating)}."


def place(route: Route) -> str:
    """Where users ask for it."""
    return f"{route.host or 'any host'}{route.path or '/'}"


def as_json(proposal: Proposal) -> dict[str, Any]:
    """The same for machines."""
    return {
        "adoptable": proposal.adoptable,
        "services": {
            each.name: {"role": str(each.role), "why": each.why, "sure": each.sure}
            for each in proposal.services
        },
        "routes": [asdict(each) for each in proposal.routes],
        "questions": [asdict(each) for each in proposal.questions],
        "refusals": [asdict(each) for each in proposal.refusals],
        "notes": list(proposal.notes),
    }
