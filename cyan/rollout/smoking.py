"""Smoke checks: requests through the standby's door, or commands in its containers, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cyan.errors import DeployError, HostError
from cyan.hosts import site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cyan.names import Color
    from cyan.rollout.job import Job
    from cyan.rollout.planned import Step
    from cyan.sections import SmokeCheck
    from cyan.settings import Settings
    from cyan.world.host import Host

SHOWN = 300  # characters of what is wrong, cut once its secrets are out: half of one is one, too
MISSING = object()


@dataclass(frozen=True)
class Answer:
    """What a door answered: header names in lower case; `error` where it did not."""

    status: int = 0
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


def fault(check: SmokeCheck, answer: Answer) -> str:
    """What is wrong with an answer, in words; "" where nothing is: pure."""
    if answer.error:
        return answer.error
    if answer.status != check.status:
        return f"answered {answer.status}, wanted {check.status}: {answer.body.strip()}"
    if check.contains not in answer.body:
        return f"the answer does not contain {check.contains!r}"
    for name, wanted in check.headers.items():
        found = answer.headers.get(name.lower())
        if found != wanted:
            return f"header {name} is {found!r}, wanted {wanted!r}"
    return _field_fault(check, answer.body) if check.fields else ""


def run(job: Job, step: Step) -> int:
    """Do every check, in order; how many there were. Raises DeployError at the first fault."""
    checks = job.plan.run.application.smoke
    for check in checks:
        if check.command:
            wrong = _exec(job, step, check)
        else:
            wrong = fault(check, ask(job.host, job.settings, step.color, check))
        if wrong:
            wrong = job.hide(wrong)[:SHOWN]
            raise DeployError(
                f"{job.plan.target} is healthy but fails smoke: {check.name}: {wrong}",
                where=f"{job.host.name}, {step.color}",
            )
    return len(checks)


def _field_fault(check: SmokeCheck, body: str) -> str:
    import json  # noqa: PLC0415 - beside its only use

    try:
        whole = json.loads(body)
    except ValueError:
        return f"the answer is not JSON: {body}"
    for path, wanted in check.fields.items():
        found = _field(whole, path)
        if found is MISSING:
            return f"the answer has no field {path}"
        if found != wanted:
            return f"field {path} is {found!r}, wanted {wanted!r}"
    return ""


def _field(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """The part of a JSON value that a dotted path names; MISSING where there is none."""
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _exec(job: Job, step: Step, check: SmokeCheck) -> str:
    """Run a check's command in its service's container, within its time; what went wrong."""
    service = check.service
    found = next((item for item in job.containers(step.color) if item.service == service), None)
    if found is None:
        return f"{step.color} has no service {service}"
    limited = ("timeout", f"{check.within:g}", *check.command)
    try:
        output = job.engine.exec(found.id, limited)
    except HostError as error:
        return error.what
    return "" if check.contains in output else f"it did not print {check.contains!r}"


def ask(host: Host, settings: Settings, color: Color, check: SmokeCheck) -> Answer:
    """What a color's door answers to a request of the site, wholly within the check's time."""
    import httpx  # noqa: PLC0415 - slow to import

    kind = {"Content-Type": "application/json"} if check.body else {}
    headers = site.headers(settings, kind | dict(check.send))
    try:
        with site.door(host, settings, color, timeout=check.within, within=check.within) as door:
            answer = door.request(
                check.method, check.path, headers=headers, content=check.body or None
            )
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        return Answer(error=f"no answer within {check.within:g} s ({why})")
    return Answer(answer.status_code, answer.text, dict(answer.headers))
