"""A proposal for people, and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from invoke.vendor import yaml
from rich.markup import escape
from rich.table import Table

from cyan.adoption.decide import RULED_OUT
from cyan.names import Strategy

if TYPE_CHECKING:
    from rich.console import Console

    from cyan.adoption.decide import Decided
    from cyan.adoption.proposal import Question
    from cyan.adoption.routes import Route

TASKS = '''"""The commands of inv: inv --list."""

from cyan.tasks import namespace

__all__ = ["namespace"]
'''
"""The text of tasks.py."""

COLORS = {"web": "green", "worker": "green", "scheduler": "yellow", "once": "green"}


def show(decided: Decided, console: Console) -> None:
    """Each service with its role and why; then what users reach, questions, refusals, notes."""
    proposal = decided.proposal
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
    for question in decided.open:
        console.print(f"[yellow]decide[/]   {escape(question.asks)}")
        console.print(f"[dim]         the safe answer: {escape(question.safe)}[/dim]")
        if told := _otherwise(question):
            console.print(f"[dim]         {escape(told)}[/dim]")
    for refusal in proposal.refusals:
        console.print(f"[red]refused[/]  {escape(str(refusal))}")
    console.print(f"\n[bold]{sentence(decided)}[/]")


def _otherwise(question: Question) -> str:
    """What stands in the way where a question is not agreed to."""
    return RULED_OUT.get(question.topic, "")


def sentence(decided: Decided) -> str:
    """What it comes to."""
    rotating = [each.name for each in decided.proposal.services if each.role.rotates]
    if decided.proposal.refusals:
        return "It cannot be rotated as it is."
    if decided.open:
        number = len(decided.open)
        what = "one thing is" if number == 1 else f"{number} things are"
        return f"It can be rotated once {what} decided."
    alone = ", one color at a time, while requests wait" if decided.hold else ""
    return f"It can be rotated as it is{alone}: {', '.join(rotating)}."


def place(route: Route) -> str:
    """Where users ask for it."""
    port = f":{route.published}" if route.published and not route.host else ""
    return f"{route.host or 'any host'}{port}{route.path or '/'}"


def as_json(decided: Decided) -> dict[str, Any]:
    """The same for machines."""
    proposal = decided.proposal
    return {
        "adoptable": not decided.open and not proposal.refusals,
        "services": {
            each.name: {"role": str(each.role), "why": each.why, "sure": each.sure}
            for each in proposal.services
        },
        "routes": [asdict(each) for each in proposal.routes],
        "questions": [asdict(each) for each in decided.open],
        "refusals": [asdict(each) for each in proposal.refusals],
        "notes": list(proposal.notes),
        "strategy": str(Strategy.HOLD if decided.hold else Strategy.COLORS),
    }


def configuration(section: dict[str, Any]) -> str:
    """The text of invoke.yaml."""
    head = (
        "# What cyan knows of this application: written by cyan init, yours to change. The\n"
        "# invoke.yaml that comes with cyan has every other setting, with a comment.\n"
    )
    text: str = yaml.safe_dump({"cyan": section}, sort_keys=False, width=100)  # type: ignore[no-untyped-call]
    return head + text


def next_steps(decided: Decided, *, lab: bool) -> str:
    """What to type next, in words."""
    prepares = "cyan lab.up" if lab else "cyan provision"
    built = any(each.service.built and each.role.rotates for each in decided.proposal.services)
    lines = [
        "invoke.yaml and tasks.py are written; nothing else was touched. Next:",
        f"  {prepares:<27} prepares the host: folders, networks, the host's one proxy",
        "  cyan deploy --version A     starts the first color, then takes over the published port",
        "  cyan deploy --version B     the first rotation",
        "  cyan init --undo            gives everything back",
    ]
    if built:
        lines.append(
            "Images are built on the host from this folder: cyan.images.from says otherwise."
        )
    return "\n".join(lines)
