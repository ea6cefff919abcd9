"""`inv chaos`: draw, rotate with faults under load, heal, judge, and shorten what failed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cyan.chaos import catalogue, leftover, specification
from cyan.chaos.controls import controlled
from cyan.chaos.shrink import shrink
from cyan.errors import CyanError
from cyan.proof import asking, verify
from cyan.proof.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cyan.chaos.draw import Drawn
    from cyan.chaos.judging import Controls
    from cyan.chaos.specification import Context, Options

SHORTENING = 900.0  # seconds that shorter runs of a failure may take together
BESIDES = 40.0  # seconds of a run that are no fault's
SHORTER = "shrink"
"""How the folders of shorter runs end: the history counts only what was drawn."""


@dataclass(frozen=True)
class Outcome:
    """How a chaos run ended: its folder, its verdict, and the faults of acts that failed."""

    folder: Path
    verdict: Verdict
    failed: tuple[Drawn, ...] = ()


def chaos(context: Context, options: Options) -> Verdict:
    """Controls, then the drawn faults under load; the report of both. Raises ProofError."""
    faults = specification.drawn(options)
    left = leftover.heal_newest(context)
    controls = controlled(context, options)
    controls = replace(controls, wrong=(*left, *controls.wrong))
    outcome = faulted(context, options, faults, controls)
    if outcome.verdict is Verdict.FAIL:
        context.console.print(f"      again: {specification.again(options, faults)}", markup=False)
        if options.shrink > 0:
            shorten(context, options, outcome, faults)
    return outcome.verdict


def faulted(
    context: Context,
    options: Options,
    faults: Sequence[Drawn],
    controls: Controls | None = None,
) -> Outcome:
    """One run with these faults; what is left of any of them is healed, however it ends.

    Without `controls` it is a shorter run of one that had them.
    """
    folder = asking.new_folder(context.project, "chaos" if controls else SHORTER)
    folder.mkdir(parents=True)
    spec = specification.spec_of(context, folder, options)
    spec = specification.with_faults(spec, context.settings, faults, controls)
    spec = replace(spec, measured_on={"run again": specification.again(options, faults)})
    try:
        judgement = specification.carried_out(context, spec)
    finally:
        leftover.heal_all(folder, context)
    tell = verify.finish if controls else verify.tell
    tell(judgement, folder, context.console)
    bad = {f.act for f in judgement.findings if f.verdict is Verdict.FAIL}
    failed = (each for place, each in enumerate(faults) if {2 * place + 1, 2 * place + 2} & bad)
    return Outcome(folder, judgement.verdict, tuple(failed))


def shorten(
    context: Context,
    options: Options,
    outcome: Outcome,
    faults: Sequence[Drawn],
) -> tuple[Drawn, ...]:
    """Run parts of a failed run again, those that failed first; the shortest that still fails.

    It is printed, and added to the failed run's summary.
    """
    deadline = time.monotonic() + SHORTENING

    def fails(part: tuple[Drawn, ...]) -> bool:
        if time.monotonic() + taking(part) > deadline:
            return False
        context.console.print(
            f"      shortening: {specification.again(options, part)}", markup=False
        )
        try:
            return faulted(context, options, part).verdict is Verdict.FAIL
        except CyanError as error:  # the run failed, whatever becomes of a shorter one
            context.console.print(f"      {error}", markup=False)
            return False

    tries, shortest = options.shrink, tuple(faults)
    if outcome.failed and len(outcome.failed) < len(faults):
        tries -= 1
        if fails(outcome.failed):
            shortest = outcome.failed
    shortest = shrink(shortest, fails, tries)
    seen = len(shortest) < len(faults)
    line = (
        f"still fails: {specification.again(options, shortest)}"
        if seen
        else "no shorter run was seen to fail"
    )
    context.console.print(f"      {line}", markup=False)
    with (outcome.folder / "summary.md").open("a", encoding="utf-8") as summary:
        summary.write(f"\nAgain: {specification.again(options, faults)}\n\nShortened: {line}\n")
    return shortest


def taking(faults: Sequence[Drawn]) -> float:
    """About how many seconds a run with these faults takes."""
    chosen = specification.entries(catalogue.BY_NAME[each.name] for each in faults)
    return BESIDES + sum(each.seconds for each in chosen)
