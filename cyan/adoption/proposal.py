"""What cyan would do with an application, what it must ask, and what it refuses: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cyan.adoption import known
from cyan.adoption.mounts import code_mounts, code_of, is_code, is_data, keeps_a_file, lasts, short
from cyan.adoption.routes import TLS_PORTS, Route, routes_told, the_public_one
from cyan.adoption.services import SOCKET, Judged, Port, judge, services_of
from cyan.application.color import others_of
from cyan.names import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath


class Topic(StrEnum):
    """What a question is about."""

    PROXY = "proxy"
    TLS = "tls"
    CODE = "code"
    VOLUMES = "volumes"
    PUBLIC = "public"
    FASTCGI = "fastcgi"
    GUESS = "guess"


@dataclass(frozen=True)
class Question:
    """Something that a wrong guess could lose data or users by; `safe` is what --yes answers.

    That begins with yes or no. `about` are the services or volumes, by name.
    """

    topic: Topic
    about: str
    asks: str
    safe: str

    @property
    def safe_is_yes(self) -> bool:
        """Whether the safe answer agrees."""
        return self.safe.startswith("yes")


@dataclass(frozen=True)
class Refusal:
    """What will not work: the service, the key of the Compose file, why, and what to do."""

    service: str
    key: str
    why: str
    todo: str

    def __str__(self) -> str:
        place = f"{self.service}.{self.key}: " if self.service else ""
        return f"{place}{self.why}" + (f"; {self.todo}" if self.todo else "")


@dataclass(frozen=True)
class Proposal:
    """All that `cyan init --check` prints."""

    services: tuple[Judged, ...]
    routes: tuple[Route, ...]
    questions: tuple[Question, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...]
    code: tuple[str, ...] = ()  # mounts of the checkout's code, as SERVICE:PATH
    alone: tuple[str, ...] = ()  # services of which two at once would spoil what they keep


def propose(config: Mapping[str, Any], folder: PurePosixPath, told: Mapping[str, Role]) -> Proposal:
    """What becomes of an application whose resolved Compose file lies in `folder`.

    `told` are the roles that the user gave.
    """
    judged = judge(services_of(config), told)
    rotating = tuple(each for each in judged if each.role.rotates)
    web = tuple(each for each in judged if each.role is Role.WEB)
    refusals = tuple(_refusals(judged, web))
    alone = tuple(each.name for each in rotating if keeps_a_file(each))
    routes = routes_told(web)
    questions = (
        *_of_the_proxy(tuple(each for each in judged if each.name not in told)),
        *_of_tls(web),
        *_of_code(rotating, folder),
        *(() if alone else _of_volumes(rotating, folder)),
        *_of_the_public_service(judged, web, routes, told),
        *_of_fastcgi(judged),
        *_of_guesses(tuple(each for each in judged if each.name not in told)),
    )
    code = tuple(
        f"{each.name}:{mount.target}" for each in rotating for mount in code_of(each, folder)
    )
    notes = (*_notes(judged, rotating), *_of_harmless(rotating, folder), *_of_the_alone(alone))
    return Proposal(judged, routes, questions, refusals, notes, code, alone)


def _of_harmless(rotating: tuple[Judged, ...], folder: PurePosixPath) -> Iterator[str]:
    """That both colors have a volume of which no question is asked."""
    shared: dict[str, list[str]] = {}
    for each in rotating:
        for mount in each.service.mounts:
            if mount.kind == "volume" and mount.source and not is_data(mount, folder):
                shared.setdefault(mount.source, []).append(each.name)
    if shared:
        said = "; ".join(f"{source} ({', '.join(names)})" for source, names in shared.items())
        yield f"both colors have the same volumes, by their own names: {said}"


def _of_the_alone(alone: tuple[str, ...]) -> Iterator[str]:
    if alone:
        yield (
            f"{', '.join(alone)} keeps a database in a file, which is one process's alone: one "
            "color takes the other's place, while requests wait (strategy: hold)"
        )


def _refusals(judged: tuple[Judged, ...], web: tuple[Judged, ...]) -> Iterator[Refusal]:
    if not judged:
        why = "no service is on: each is behind a profile"
        yield Refusal("", "", why, "docker compose config --profiles lists them; COMPOSE_PROFILES")
        return
    if not web:
        yield Refusal(
            "", "", "nothing here answers requests of its own: databases and tools only", ""
        )
    staying = {each.name for each in judged if not each.role.rotates}
    for each in judged:
        if each.role.rotates:
            yield from _of_one(each, staying)


def _of_one(each: Judged, staying: set[str]) -> Iterator[Refusal]:
    service, raw = each.service, each.service.raw
    if raw.get("network_mode") == "host":
        yield Refusal(
            each.name,
            "network_mode",
            "two colors cannot both have the host's own ports",
            "publish ports in its place, or keep one color (hold)",
        )
    for key, other in others_of(raw):
        if other in staying:
            yield Refusal(
                each.name,
                key,
                f"both colors would have it of {other}, which stays",
                f"--service {other}=web, if it may rotate as well",
            )
    for port in service.ports:
        what = known.OTHER_PORTS.get(port.target) or (
            "UDP" if _only_udp(port, service.ports) else ""
        )
        if what:
            yield Refusal(
                each.name,
                "ports",
                f"{port.target} is {what} and no HTTP, and only HTTP is rotated without a drop",
                f"leave it where it is: --service {each.name}=tool",
            )
            break
    for mount in service.mounts:
        if mount.kind == "volume" and mount.source and is_code(mount.target):
            yield Refusal(
                each.name,
                "volumes",
                f"the code itself lies in the volume {mount.source}, so both colors would run one",
                "keep data in a folder of its own, and the code in the image",
            )
    if keeps_a_file(each) and not any(lasts(mount) for mount in service.mounts):
        yield Refusal(
            each.name,
            "environment",
            "its database is a file in the container itself, and a new release begins without it",
            "keep it in a volume, or in a database service",
        )


def _of_the_proxy(judged: tuple[Judged, ...]) -> Iterator[Question]:
    proxies = [each for each in judged if each.role is Role.PROXY]
    if proxies:
        names = ", ".join(each.name for each in proxies)
        yield Question(
            Topic.PROXY,
            names,
            f"{names} leads users to the others: shall it rotate together with them (else it makes "
            "way for the host's proxy)?",
            "no: it makes way" if any(map(_cannot_rotate, proxies)) else "yes: it rotates",
        )


def _cannot_rotate(each: Judged) -> bool:
    """Whether a proxy is one for the whole host, or ends TLS."""
    engine = any(mount.source == SOCKET for mount in each.service.mounts)
    return engine or any(port.target in TLS_PORTS for port in each.service.ports)


def _of_tls(web: tuple[Judged, ...]) -> Iterator[Question]:
    ends = [
        each.name
        for each in web
        if any(port.target in TLS_PORTS and port.protocol == "tcp" for port in each.service.ports)
    ]
    if ends:
        yield Question(
            Topic.TLS,
            ", ".join(ends),
            f"{', '.join(ends)} ends TLS itself: shall cyan's proxy do so in its place?",
            "yes",
        )


def _of_code(rotating: tuple[Judged, ...], folder: PurePosixPath) -> Iterator[Question]:
    mounted = {each.name: found for each in rotating if (found := code_mounts(each, folder))}
    if mounted:
        said = "; ".join(f"{name}: {', '.join(paths)}" for name, paths in mounted.items())
        yield Question(
            Topic.CODE,
            ", ".join(mounted),
            f"code of the checkout is mounted over the image ({said}): leave these mounts out?",
            "yes",
        )


def _of_volumes(rotating: tuple[Judged, ...], folder: PurePosixPath) -> Iterator[Question]:
    shared: dict[str, list[str]] = {}
    for each in rotating:
        if each.role is Role.ONCE or keeps_a_file(each):
            continue
        for mount in each.service.mounts:
            if is_data(mount, folder) and not is_code(mount.target):
                shared.setdefault(short(mount.source, folder), []).append(each.name)
    if shared:
        said = "; ".join(f"{source} ({', '.join(names)})" for source, names in shared.items())
        yield Question(
            Topic.VOLUMES,
            ", ".join(shared),
            f"both colors would write to {said} for a while: may they?",
            "no: one color at a time (hold)",
        )


def _of_the_public_service(
    judged: tuple[Judged, ...],
    web: tuple[Judged, ...],
    routes: tuple[Route, ...],
    told: Mapping[str, Role],
) -> Iterator[Question]:
    """Which one users reach, where nothing says so; of a proxy only once it is to make way."""
    gone = [each for each in judged if each.role is Role.PROXY]
    led = [each for each in gone if any(port.protocol == "tcp" for port in each.service.ports)]
    labelled = any(route.host or route.path for route in routes)
    if led and web and not labelled and all(each.name in told for each in led):
        names = ", ".join(each.name for each in led)
        yield Question(
            Topic.PUBLIC,
            names,
            f"{names} makes way: to which of {', '.join(each.name for each in web)} does it lead "
            "users, and to which port?",
            "no: nobody reaches it",
        )
        return
    if routes or gone or not web or the_public_one(web):
        return
    yield Question(
        Topic.PUBLIC,
        ", ".join(each.name for each in web),
        "which of these do users reach, and on which port? nothing is published",
        "no: nobody reaches it",
    )


def _of_fastcgi(judged: tuple[Judged, ...]) -> Iterator[Question]:
    spoken = [
        each.name
        for each in judged
        if each.role is Role.WEB
        and ("fpm" in each.service.words or "fpm" in str(each.service.raw.get("image")))
    ]
    if spoken:
        names = ", ".join(spoken)
        yield Question(
            Topic.FASTCGI,
            names,
            f"{names} speaks FastCGI and no HTTP: shall it rotate together with its web server?",
            "yes",
        )


def _of_guesses(judged: tuple[Judged, ...]) -> Iterator[Question]:
    for each in judged:
        if not each.sure and each.role in {Role.SHARED, Role.SCHEDULER}:
            yield Question(
                Topic.GUESS,
                each.name,
                f"is {each.name} one that must never run twice ({each.why})?",
                f"yes: --service {each.name}={each.role}",
            )


def _notes(judged: tuple[Judged, ...], rotating: tuple[Judged, ...]) -> Iterator[str]:
    for key, why in (
        ("container_name", "its color and number name a container"),
        ("hostname", "it would be one name for two"),
        ("ports", "the proxy publishes what users reach"),
    ):
        names = [each.name for each in rotating if each.service.raw.get(key)]
        if names:
            yield f"{key} of {', '.join(names)} is left out: {why}"
    bare = [
        each.name for each in rotating if each.role is Role.WEB and not _checked(each.service.raw)
    ]
    if bare:
        yield f"{', '.join(bare)}: no health check; the door decides, GET / below 500 counts"
    for role, one, several in (
        (
            Role.WORKER,
            "starts at the switch and ends with the old color's drain",
            "start at the switch and end with the old color's drain",
        ),
        (
            Role.SCHEDULER,
            "never runs twice: the old one ends before the new one starts",
            "never run twice: the old ones end before the new ones start",
        ),
        (
            Role.ONCE,
            "runs once for each deploy, before the colors change",
            "run once for each deploy, before the colors change",
        ),
        (Role.SHARED, "is not touched, nor its data", "are not touched, nor their data"),
    ):
        names = [each.name for each in judged if each.role is role]
        if names:
            yield f"{', '.join(names)} {one if len(names) == 1 else several}"


def _checked(service: Mapping[str, Any]) -> bool:
    """Whether a service has a health check that is on."""
    check = service.get("healthcheck") or {}
    return bool(check) and not check.get("disable") and check.get("test") != ["NONE"]


def _only_udp(port: Port, ports: tuple[Port, ...]) -> bool:
    tcp = {each.target for each in ports if each.protocol == "tcp"}
    return port.protocol == "udp" and port.target not in tcp
