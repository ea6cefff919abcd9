"""The controls: a time without a deploy, in which nothing may drop, and two ways that must."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cyan.chaos import catalogue, leftover, specification
from cyan.chaos.draw import Drawn
from cyan.chaos.judging import Controls
from cyan.errors import CyanError
from cyan.proof import asking
from cyan.proof.run import lasting
from cyan.proof.scenario import control

if TYPE_CHECKING:
    from pathlib import Path

    from cyan.chaos.specification import Context, Options
    from cyan.proof.verdict import Judgement

RTT = 0.04  # between clients and site: a reload then drops for certain
SECONDS = 12  # of the control in which nothing is done
STEADY = 3.0
QUIET = "no deploy"
LOUD = tuple(each.name for each in catalogue.CONTROLS[1:])


def controlled(context: Context, options: Options) -> Controls:
    """Carry the controls out; how they came out, which is told as well."""
    folder = asking.new_folder(context.project, "controls")
    folder.mkdir(parents=True)
    try:
        told = judged(_judgement(context, options, folder), folder.name)
    except CyanError as error:
        told = Controls((f"they could not be carried out: {error.what}",))
    finally:
        leftover.heal_all(folder, context)
    word = "[yellow]unknown[/]  controls" if told.wrong else "controls"
    context.console.print(f"{word}: {told.text}")
    return told


def _judgement(context: Context, options: Options, folder: Path) -> Judgement:
    from cyan.proof.relay.process import RelayOptions  # noqa: PLC0415 - only here

    spec = replace(
        specification.spec_of(context, folder, options), relay=RelayOptions(RTT), steady=STEADY
    )
    spec = specification.with_faults(spec, context.settings, ())
    acts = [*spec.acts, replace(control(SECONDS), name=QUIET)]
    for name in LOUD:
        act, _kept = specification.act_of(spec, len(acts), Drawn(name), "")
        acts.append(act)
    spec = replace(spec, acts=tuple(acts), checks=lambda _folder: ())
    return specification.carried_out(context, lasting(spec))


def judged(judgement: Judgement, where: str) -> Controls:
    """Whether the controls came out as they must. `where` is the folder of their own report.

    Only the quiet act is judged to be quiet, and it comes first: seconds after a reload the proxy
    still closes connections, when their streams end.
    """
    *acts, _steady = judgement.measures
    found = {each.name: each for each in acts}
    wrong = [f"“{name}” was not carried out" for name in (QUIET, *LOUD) if name not in found]
    quiet, loud = found.get(QUIET), [found[name] for name in LOUD if name in found]
    if quiet and (quiet.drops or not quiet.n):
        wrong.append(f"without any deploy {quiet.drops} of {quiet.n} requests were dropped")
    wrong += [f"“{e.name}” is known to drop and was not seen to" for e in loud if not e.drops]
    return Controls(tuple(wrong), ", ".join(f"{e.name} dropped {e.drops}" for e in loud), where)
