"""Commands that change which release is live."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cyan.cli import command, require, settings
from cyan.errors import UsageError
from cyan.names import seconds, valid_version
from cyan.tasks.common import (
    HOST,
    JSON,
    LOCK_WAIT,
    WITHOUT,
    confirmed,
    given,
    hosts,
    keeping,
    print_json,
    strategy_of,
    visits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from invoke import Context

    from cyan.rollout.job import Reporter
    from cyan.rollout.planned import Request
    from cyan.sections import HostSettings
    from cyan.settings import Settings
    from cyan.tasks.watching import Watching

IMPOSSIBLE = "what no answer contains, because this is a rehearsal"
STRATEGY = "colors: both are up; hold: one at a time, requests wait; auto: colors if there is room"
WATCH = "a page on 127.0.0.1 draws it while it happens"
FORCE = "a check of preflight to override, by its name; may be given often"


@command(
    iterable=["env", "force", "only", "without"],
    help={
        "version": "the tag to deploy",
        "only": "a service to replace within the live color, while requests wait; may be given "
        "often",
        "plan": "print the steps and their commands, and do nothing",
        "json": f"with --plan: {JSON}",
        "env": "KEY=VALUE for the release's containers; may be given often",
        "resume": "go on with the deploy or rollback that was left unfinished",
        "abort": "undo the deploy or rollback that was left unfinished",
        "force": FORCE,
        "strategy": STRATEGY,
        "rehearse": "make it fail, to see that no user notices: never-healthy or fails-smoke",
        "take_over": "the first deploy may take the ports of the application's own stack",
        "lock_wait": LOCK_WAIT,
        "host": HOST,
        "without": WITHOUT,
        "watch": WATCH,
    },
)
def deploy(
    c: Context,
    version: str = "",
    only: list[str] | None = None,
    plan: bool = False,
    json: bool = False,
    env: list[str] | None = None,
    resume: bool = False,
    abort: bool = False,
    force: list[str] | None = None,
    strategy: str = "",
    rehearse: str = "",
    take_over: bool = False,
    lock_wait: str = "0",
    host: str = "",
    without: list[str] | None = None,
    watch: bool = False,
) -> None:
    """Start a version beside the live color and switch to it once it is healthy."""
    from cyan.application.secrets import collect
    from cyan.migrations.apply import read

    wanted, wait = settings(c), seconds(lock_wait)
    machines = hosts(wanted, host, without or ())
    read(wanted)  # a migration with a wrong name is told before anything is touched
    forced = _forced(wanted, force)
    if resume or abort:
        _alone(
            resume=resume,
            abort=abort,
            others=bool(
                version or only or env or strategy or rehearse or take_over or (abort and plan)
            ),
        )
    if abort:
        _abort(wanted, machines, wait)
        return
    what = "resume" if resume else "deploy"
    version = "" if resume else valid_version(given(version, "--version", "v1"))
    request = _request(what, version, forced, wait, env or ())
    request = replace(
        _rehearsed(wanted, request, rehearse),
        take_over=take_over or plan,
        strategy=strategy_of(strategy),
        only=_only(wanted, only or (), strategy),
    )
    if not resume:  # which may need none: what was fetched is on the host
        request = request.carrying(collect(wanted))
    _rotate(wanted, request, machines, plan=plan, json=json, watch=watch)


@command(
    iterable=["force", "without"],
    help={
        "plan": "print the steps and their commands, and do nothing",
        "json": f"with --plan: {JSON}",
        "strategy": STRATEGY,
        "force": FORCE,
        "lock_wait": LOCK_WAIT,
        "host": HOST,
        "without": WITHOUT,
        "watch": WATCH,
    },
)
def rollback(
    c: Context,
    plan: bool = False,
    json: bool = False,
    strategy: str = "",
    force: list[str] | None = None,
    lock_wait: str = "0",
    host: str = "",
    without: list[str] | None = None,
    watch: bool = False,
) -> None:
    """Switch to the previous release: at once while it is warm, else by deploying it."""
    wanted = settings(c)
    machines = hosts(wanted, host, without or ())
    request = _request("rollback", "", _forced(wanted, force), seconds(lock_wait))
    request = replace(request, strategy=strategy_of(strategy))
    _rotate(wanted, request, machines, plan=plan, json=json, watch=watch)


def _only(wanted: Settings, names: Sequence[str], strategy: str) -> tuple[str, ...]:
    """The services to replace. Raises UsageError for what is none, or cannot be by itself."""
    from cyan.application.record import Application
    from cyan.names import EngineKind, Strategy

    if not names:
        return ()
    if not wanted.adopted or wanted.engine is EngineKind.SWARM:
        whose = "a stack of Docker Swarm" if wanted.adopted else "Compose files made for cyan"
        raise UsageError(
            f"--only is for an application that was adopted on one host, and this has {whose}",
            todo="deploy it as a whole: leave --only out",
        )
    if strategy and strategy != Strategy.HOLD:
        raise UsageError(
            f"--only replaces services while requests wait, which is not --strategy {strategy}",
            todo="leave one of the two out",
        )
    application = Application.of(wanted)
    if other := [name for name in names if name not in application.lasting]:
        raise UsageError(
            f"--only {other[0]} is no service that a deploy could replace by itself",
            todo=f"one of {', '.join(application.lasting)}",
        )
    return tuple(dict.fromkeys(names))


def _rehearsed(wanted: Settings, request: Request, how: str) -> Request:
    """The request for a release that fails on purpose. Raises UsageError."""
    from cyan.application.record import Application
    from cyan.names import REHEARSED
    from cyan.sections import SmokeCheck

    if not how:
        return request
    if how not in REHEARSED:
        raise UsageError(f"--rehearse {how!r} is unknown", todo=f"one of {', '.join(REHEARSED)}")
    if how == REHEARSED[0] and not wanted.adopted:
        raise UsageError(
            "--rehearse never-healthy is for an application that was adopted: another's health "
            "checks are in its own Compose file",
            todo="--rehearse fails-smoke",
        )
    application = Application.of(wanted)
    if how == REHEARSED[1]:
        never = SmokeCheck(path=wanted.public.ready, contains=IMPOSSIBLE)
        application = application.model_copy(update={"smoke": (*application.smoke, never)})
    return replace(request, application=application, rehearse=how)


def _rotate(
    wanted: Settings,
    request: Request,
    machines: Sequence[HostSettings],
    *,
    plan: bool,
    json: bool,
    watch: bool,
) -> None:
    from cyan.rollout.preparing import TakeOverError
    from cyan.rollout.preview import show_plan
    from cyan.terminal import console

    if json:
        _plans(wanted, request, machines, plan=plan)
        return
    if plan:
        for machine, past_errors in visits(machines):
            with past_errors:
                show_plan(console, wanted, machine, request)
        return
    run = _rotate_one if len(machines) == 1 else _rotate_all
    with _watching(wanted, machines, request.title, watch=watch) as seen:
        try:
            run(wanted, machines, request, seen)
        except TakeOverError as error:
            if not confirmed(f"On {error.where} {error.what}."):
                raise
            run(wanted, machines, replace(request, take_over=True), seen)


@contextmanager
def _watching(
    wanted: Settings, machines: Sequence[HostSettings], title: str, *, watch: bool
) -> Iterator[Watching | None]:
    """With `watch` a page that draws it."""
    if not watch:
        yield None
        return
    require("proof")
    from cyan.tasks.watching import watching
    from cyan.terminal import console

    with watching(wanted, machines[0], title, console.print) as seen:
        yield seen


def _plans(
    wanted: Settings, request: Request, machines: Sequence[HostSettings], *, plan: bool
) -> None:
    """Print plans as JSON. Raises UsageError where they are to be carried out as well."""
    from cyan.rollout import as_json
    from cyan.rollout.preview import made_now

    if not plan:
        raise UsageError("--json is for what is only looked at", todo="--plan --json")

    def told(machine: HostSettings) -> dict[str, Any]:
        made, world = made_now(wanted, machine, request)
        return as_json.plan(made, machine.name, world.serving)

    print_json("plan", machines, told)


def _rotate_all(
    wanted: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    seen: Watching | None,
) -> None:
    """Rotate several hosts as one."""
    from cyan.rollout.together import rotate
    from cyan.terminal import console

    report, names = _reporting(machines, seen)
    console.print(f"[bold]{request.title}[/bold] on {len(names)} hosts: {', '.join(names)}")
    done = rotate(wanted, machines, request, report, _reports())
    if seen:
        seen.live = done.version
    apart = "" if done.spread is None else f", switched within {done.spread * 1000:.1f} ms"
    console.print(
        f"live: [bold]{done.version}[/bold] on {done.hosts} hosts{apart}, {done.seconds:.1f} s"
    )


def _reporting(
    machines: Sequence[HostSettings], seen: Watching | None = None
) -> tuple[Callable[[str], Reporter], tuple[str, ...]]:
    """Who is told how it goes on on each host, by its name; and the names."""
    from cyan.rollout.fleet import flag
    from cyan.terminal import Progress

    names = tuple(flag(each, machines) for each in machines)

    def report(name: str) -> Reporter:
        shown = Progress(name, names)
        return seen.told(shown, name) if seen else shown

    return report, names


def _reports() -> Path:
    from cyan.cli import project_folder

    return project_folder() / "reports"


def _rotate_one(
    wanted: Settings,
    machines: Sequence[HostSettings],
    request: Request,
    seen: Watching | None,
) -> None:
    from cyan.rollout.rotating import rotate
    from cyan.terminal import Progress, console

    (machine,) = machines
    console.print(f"[bold]{request.title}[/bold] on {machine.name}")
    shown = seen.told(Progress()) if seen else Progress()
    outcome = rotate(wanted, machine, request, shown, _reports())
    if seen:
        seen.live = str(outcome.plan.target)
    console.print(f"live: [bold]{outcome.plan.target}[/bold], {outcome.seconds:.1f} s")


def _abort(wanted: Settings, machines: Sequence[HostSettings], lock_wait: float) -> None:
    from cyan.rollout import together
    from cyan.rollout.rotating import abort
    from cyan.terminal import Progress, console

    if len(machines) == 1:
        (machine,) = machines
        with keeping(wanted, machine, "abort"):
            undone = abort(wanted, machine, Progress(), lock_wait)
        console.print(f"{machine.name}: aborted; serving: {undone.serving}")
        return
    report, _ = _reporting(machines)
    request = _request("abort", "", (), lock_wait)
    names = together.abort(wanted, machines, request, report, _reports())
    console.print(f"aborted on {', '.join(names)}")


def _alone(*, resume: bool, abort: bool, others: bool) -> None:
    if others or (resume and abort):
        raise UsageError(
            "--resume and --abort stand alone: the journal on the host says what it is about",
            todo="see what was left unfinished: inv status",
        )


def _request(
    what: str, version: str, forced: tuple[str, ...], wait: float, env: Sequence[str] = ()
) -> Request:
    from cyan.rollout.planned import Request
    from cyan.rollout.release_files import valid_environment

    return Request(what, version, getpass.getuser(), valid_environment(env), forced, wait)


def _forced(wanted: Settings, names: Sequence[str] | None) -> tuple[str, ...]:
    from cyan.rollout.preflight import valid_names

    return valid_names(names or (), wanted)
