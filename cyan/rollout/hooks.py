"""The user's own commands before and after a step, here or on the host."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cyan.errors import DeployError
from cyan.journal.while_held import KILL, WhileHeld
from cyan.names import Phase
from cyan.world import local

if TYPE_CHECKING:
    from cyan.rollout.job import Job
    from cyan.rollout.planned import Step
    from cyan.sections import HookSettings
    from cyan.world.host import Output

ITS_GROUP = 'kill -- "-$job" 2>/dev/null'
"""Ends a hook on the host whose deployer is gone: timeout(1) leads a group of processes itself."""
SHOWN = 600  # characters of what a failing one printed


def before(job: Job, step: Step) -> tuple[str, ...]:
    """Run the hooks before a step; warnings. Raises DeployError until the switch is done."""
    final = step.kind.phase is not Phase.SETTLE
    hooks = [hook for hook in job.settings.hooks if hook.before is step.kind]
    return _run(job, step, hooks, f"before {step.kind}", final=final)


def after(job: Job, step: Step) -> tuple[str, ...]:
    """Run the hooks after a step; warnings. Raises DeployError until the switch is done."""
    final = step.kind.phase is Phase.PREPARE
    hooks = [hook for hook in job.settings.hooks if hook.after is step.kind]
    return _run(job, step, hooks, f"after {step.kind}", final=final)


def environment(job: Job, step: Step) -> dict[str, str]:
    """What a hook is told of the release."""
    target, old = job.plan.target, job.plan.old
    return {
        "CYAN_APP": job.settings.app,
        "CYAN_HOST": job.host.name,
        "CYAN_WHAT": job.plan.run.what,
        "CYAN_STEP": step.kind,
        "CYAN_COLOR": target.color,
        "CYAN_VERSION": target.version,
        "CYAN_RELEASE": target.id,
        "CYAN_OLD_VERSION": old.version if old else "",
        "CYAN_DOOR": str(job.settings.door_of(target.color)),
    }


def _run(
    job: Job, step: Step, hooks: list[HookSettings], when: str, *, final: bool
) -> tuple[str, ...]:
    warnings = []
    for hook in hooks:
        done = _done(job, hook, environment(job, step))
        if done.code == 0:
            continue
        hide = job.hide
        said = hide((done.stderr or done.stdout).strip())[-SHOWN:]
        what = f"the hook {when} failed with exit code {done.code}: {hide(hook.run)}: {said}"
        if final:
            raise DeployError(what, where=job.host.name if hook.where == "host" else "this machine")
        warnings.append(what)
    return tuple(warnings)


def _done(job: Job, hook: HookSettings, given: dict[str, str]) -> Output:
    if hook.where == "here":
        return local.run(hook.run, given, hook.within)
    pairs = (f"{name}={value}" for name, value in given.items())
    words = ("env", *pairs, "timeout", "-k", "5", f"{hook.within:g}", "sh", "-c", hook.run)
    held = WhileHeld(job.lock, end=f"{ITS_GROUP}; {KILL}")
    return held.run(f"exec {shlex.join(words)} </dev/null", check=False)
