"""Commands for an application that does not know cyan yet."""

# ruff: noqa: PLC0415, FBT001, FBT002, PLR0913, PLR0917 - late imports; flags are arguments
from __future__ import annotations

import json as json_
import socket
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from cyan.cli import CONFIGURATION, command
from cyan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke import Context

    from cyan.adoption.decide import Decided, Place
    from cyan.adoption.proposal import Question
    from cyan.adoption.routes import Route
    from cyan.names import EngineKind, Role, Server

LAB = "lab"
Program = TypeVar("Program", "Server", "EngineKind")
LAB_PORTS = range(2222, 2322)


@command(
    name="init",
    iterable=["file", "service", "agree", "route"],
    help={
        "check": "only print what would become of each service",
        "file": "a Compose file; may be repeated, as docker compose -f",
        "service": "what a service is: NAME=web, worker, scheduler, once, shared, proxy or tool",
        "agree": "yes to the question about these, by their names as it has them; may be repeated",
        "route": "what users reach: SERVICE:PORT, or SERVICE:PORT=HOST/PATH; may be repeated",
        "domain": "the name by which users call the site: HTTPS, on 443",
        "proxy": "what shall lead users to a color: caddy, or nginx",
        "engine": "what runs the containers: docker, podman (5 or newer), or swarm",
        "behind": "a proxy of yours stays in front, and users come to it by: http, or https",
        "certificate": "with nginx and a domain: the file on the host of its certificate, in PEM",
        "key": "and of its key",
        "host": "user@address of the host, or lab: this machine, by an sshd of its own",
        "there": "where the application's own stack lies on the host, if not as here",
        "yes": "the safe answer to every question",
        "undo": "give everything back: ports, the own stack's containers; remove what cyan brought",
        "json": "print it for machines",
    },
)
def init(
    c: Context,
    check: bool = False,
    file: list[str] | None = None,
    service: list[str] | None = None,
    agree: list[str] | None = None,
    route: list[str] | None = None,
    domain: str = "",
    proxy: str = "caddy",
    engine: str = "docker",
    behind: str = "",
    certificate: str = "",
    key: str = "",
    host: str = LAB,
    there: str = "",
    yes: bool = False,
    undo: bool = False,
    json: bool = False,
) -> None:
    """Read a compose.yaml and write invoke.yaml and tasks.py, so that it can be rotated as it is.

    What could lose data or users is asked. Exit code 1: something is to be decided, or refused;
    2: no valid application.
    """
    from cyan.adoption.decide import decide
    from cyan.adoption.printed import as_json, show
    from cyan.application.source import without_version
    from cyan.names import EngineKind, Server
    from cyan.terminal import console

    if undo:
        _undo(c)
        return
    server, runs = _one_of(Server, "proxy", proxy), _one_of(EngineKind, "engine", engine)
    folder, files = Path.cwd(), _files(file or ())
    config = without_version(folder, files)
    told = _told(service or (), config.get("services") or {})
    routes = tuple(_route(each) for each in route or ())
    agreed = {name.strip() for each in agree or () for name in each.split(",")}

    def answer(question: Question) -> bool | None:
        if set(question.about.split(", ")) <= agreed:
            return True
        if yes:
            return question.safe_is_yes
        return None if check or json else _asked(question)

    decided = decide(config, PurePosixPath(folder), told, answer, routes)
    if json:
        sys.stdout.write(json_.dumps(as_json(decided), indent=1, ensure_ascii=False) + "\n")
    else:
        show(decided, console)
    if decided.open or decided.proposal.refusals:
        sys.exit(1)
    if not (check or json):
        place = _place(config, files, host, there, domain, routes)
        place = replace(place, proxy=server, engine=runs, behind=behind)
        place = replace(place, certificate=certificate, key=key)
        _write(folder, decided, place)


def _write(folder: Path, decided: Decided, place: Place) -> None:
    """Write both files, if they are valid and not there yet. Raises UsageError."""
    from cyan.adoption import spreading
    from cyan.adoption.decide import section
    from cyan.adoption.printed import TASKS, configuration, next_steps
    from cyan.configured import load
    from cyan.proxies.nginx import in_front
    from cyan.terminal import console

    made = section(decided, place)
    if not made["adopted"]["routes"]:
        raise UsageError(
            "nothing says what users reach: no port is published",
            todo="for example: --route web:8000, the service and the port on which it answers",
        )
    settings = load(made, {}, folder)
    target, tasks = folder / CONFIGURATION, folder / "tasks.py"
    if target.exists():
        raise UsageError(
            f"{target} is there already, and nothing was written",
            todo="change it by hand, or take it away first",
        )
    target.write_text(configuration(made))
    if not tasks.exists():
        tasks.write_text(TASKS)
    console.print(next_steps(decided, lab="lab" in made), markup=False)
    for note in spreading.notes(settings):
        console.print(f"note  {note}", markup=False)
    if place.behind:
        front = folder / f"nginx-{place.app}.conf"
        front.write_text(in_front(settings))
        console.print(f"{front} is what an nginx in front needs for it.", markup=False)


def _undo(c: Context) -> None:
    from cyan.cli import settings
    from cyan.rollout.removal import reset
    from cyan.tasks.common import first_last, visits
    from cyan.terminal import Progress, console

    wanted = settings(c)
    if wanted.adopted is None:
        raise UsageError("nothing was adopted here", todo="inv reset removes an application")
    for machine, past_errors in visits(first_last(wanted, wanted.hosts)):
        with past_errors:
            removed = reset(wanted, machine, Progress(), volumes=False)
            console.print(f"{machine.name}: removed {removed.what}; serving: {removed.serving}")


def _place(
    config: Mapping[str, Any],
    files: Sequence[str],
    host: str,
    there: str,
    domain: str,
    routes: tuple[Route, ...],
) -> Place:
    from cyan.adoption.decide import Place, app_name
    from cyan.configured import machine_at

    project = str(config["name"])
    app = app_name(project)
    if host == LAB:
        keys = {"identity": ".lab/client_key", "known_hosts": ".lab/known_hosts"}
        free = next(each for each in LAB_PORTS if _is_free(each))
        entry: dict[str, Any] = {"address": "127.0.0.1", "port": free, **keys}
        proxy = "~/.local/share/cyan/proxy"  # one for all the labs of this machine
        return Place(app, project, tuple(files), entry, ".lab/host", proxy, "", domain, routes)
    user, _, address = host.rpartition("@")
    address, _, port = address.partition(":")
    machine = machine_at(address, port or 22, user)
    entry = {"address": machine.address, "port": machine.port, "user": machine.user}
    return Place(app, project, tuple(files), entry, f"/srv/cyan/{app}", "", there, domain, routes)


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) != 0


def _files(given: Sequence[str]) -> tuple[str, ...]:
    """The Compose files by name: those that are given, or the one that Compose would take.

    One beside it, that Compose would read as well, belongs to it.
    """
    from cyan.application.source import USUAL

    if given:
        return tuple(given)
    found = next((name for name in USUAL if Path(name).exists()), None)
    if found is None:
        return ()
    stem = found.rsplit(".", 1)[0]
    beside = (f"{stem}.override.yaml", f"{stem}.override.yml")
    return (found, *(name for name in beside if Path(name).exists()))


def _asked(question: Question) -> bool | None:
    """What a person answers; None where nobody is there."""
    if not sys.stdin.isatty():
        return None
    said = input(f"{question.asks} [{question.safe}] yes or no: ").strip().lower()
    return question.safe_is_yes if not said else said.startswith("y")


def _route(given: str) -> Route:
    """SERVICE:PORT, or SERVICE:PORT=HOST/PATH. Raises UsageError."""
    from cyan.adoption.routes import Route

    answers, _, asked = given.partition("=")
    service, _, port = answers.partition(":")
    if not (service and port.isdigit()):
        raise UsageError(f"{given!r} is no route", todo="for example: web:8000=shop.example/api")
    host, slash, path = asked.partition("/")
    return Route(service, int(port), host, slash + path)


def _one_of(kind: type[Program], what: str, given: str) -> Program:
    """The program that is to be the proxy or the engine. Raises UsageError."""
    if given not in tuple(kind):
        raise UsageError(f"cyan knows no {what} {given!r}", todo=f"one of: {', '.join(kind)}")
    return kind(given)


def _told(given: list[str] | tuple[str, ...], there: object) -> dict[str, Role]:
    """What the user says of services. Raises UsageError for a name or a role that is none."""
    from cyan.names import Role

    names = list(there) if isinstance(there, dict) else []
    told = {}
    for each in given:
        name, _, role = each.partition("=")
        if name not in names:
            raise UsageError(f"no service is called {name!r}", todo=f"one of: {', '.join(names)}")
        if role not in list(Role):
            raise UsageError(f"{role!r} is no role of a service", todo=f"one of: {', '.join(Role)}")
        told[name] = Role(role)
    return told
