"""From a proposal and somebody's answers to the settings of an application: pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cyan.adoption.proposal import Proposal, Question, Topic, propose
from cyan.adoption.routes import TLS_PORTS, Route
from cyan.names import APP_PATTERN, EngineKind, Role, Server, Strategy
from cyan.proxies.sites import USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePosixPath

RULED_OUT = {
    Topic.TLS: "two would end TLS on one port",
    Topic.CODE: "both colors would run the code of the checkout, and not of their version",
    Topic.VOLUMES: "no: one color takes the other's place, requests wait; yes: --agree NAME",
    Topic.PUBLIC: "--route SERVICE:PORT says which, and on which port it answers",
    Topic.FASTCGI: "its web server would speak to another version",
    Topic.GUESS: "--service NAME=ROLE says what it is",
}
"""What a "no" means, or that nobody answered; where it leads on, it is no entry here."""


@dataclass(frozen=True)
class Decided:
    """A proposal after the answers. `open` are the questions that still stand in the way.

    With `hold` one color takes the other's place, because two would spoil what they keep.
    """

    proposal: Proposal
    agreed: frozenset[Topic]
    open: tuple[Question, ...]
    hold: bool = False


@dataclass(frozen=True)
class Place:
    """Where the application goes: what the user gave beside the Compose files.

    `host` is an entry of cyan.hosts; `routes` are theirs, none where those of the proposal hold.
    `certificate` and `key` are files of the host, for nginx; `behind` says how users come to a
    proxy of their own that stays in front, and has the `domain`.
    """

    app: str
    project: str
    files: tuple[str, ...]
    host: Mapping[str, Any]
    directory: str
    proxy_directory: str = ""
    there: str = ""
    domain: str = ""
    routes: tuple[Route, ...] = ()
    proxy: Server = Server.CADDY
    engine: EngineKind = EngineKind.DOCKER
    certificate: str = ""
    key: str = ""
    behind: str = ""


def decide(
    config: Mapping[str, Any],
    folder: PurePosixPath,
    told: Mapping[str, Role],
    answer: Callable[[Question], bool | None],
    routes: tuple[Route, ...] = (),
) -> Decided:
    """Ask one question after the other; an answer about a role may raise others, or none.

    `answer` returns None where nobody is there to say.
    """
    roles, said = dict(told), dict[tuple[Topic, str], bool | None]()
    while True:
        proposal = propose(config, folder, roles)
        asked = [each for each in proposal.questions if not (each.topic is Topic.PUBLIC and routes)]
        left = next((each for each in asked if (each.topic, each.about) not in said), None)
        if left is None or proposal.refusals:
            break
        given = answer(left)
        said[left.topic, left.about] = given
        if given is not None:
            roles |= _roles(left, proposal, agreed=given)
    proposal = replace(proposal, routes=routes or proposal.routes)
    keys = {(each.topic, each.about): each for each in asked}
    denied = {key for key, yes in said.items() if key[0] is Topic.VOLUMES and yes is False}
    standing = tuple(each for key, each in keys.items() if not said.get(key) and key not in denied)
    agreed = frozenset(topic for (topic, _), yes in said.items() if yes)
    return Decided(proposal, agreed, standing, hold=bool(denied or proposal.alone))


def _roles(question: Question, proposal: Proposal, *, agreed: bool) -> dict[str, Role]:
    """What an answer says of services."""
    found = {each.name: each.role for each in proposal.services}
    names = question.about.split(", ")
    if question.topic is Topic.PROXY:
        return dict.fromkeys(names, Role.WEB if agreed else Role.PROXY)
    if question.topic is Topic.GUESS and agreed:
        return {name: found[name] for name in names}
    return {}


def routes_of(decided: Decided, place: Place) -> tuple[Route, ...]:
    """The routes that are written: theirs, or the proposal's but for those of TLS."""
    if place.routes:
        return place.routes
    ends = Topic.TLS in decided.agreed
    return tuple(each for each in decided.proposal.routes if not (ends and each.port in TLS_PORTS))


def section(decided: Decided, place: Place) -> dict[str, Any]:
    """The `cyan` section of invoke.yaml."""
    made: dict[str, Any] = {"app": place.app, "hosts": [dict(place.host)]}
    if place.engine is not EngineKind.DOCKER:
        made["engine"] = str(place.engine)
    made["directory"] = place.directory
    if place.host["address"] == "127.0.0.1":
        made["lab"] = {"ssh_port": place.host["port"]}
    if place.proxy_directory:
        made["host_proxy"] = {"directory": place.proxy_directory}
    if decided.hold:
        made["strategy"] = str(Strategy.HOLD)
    if place.proxy is not Server.CADDY:
        made["proxy"] = str(place.proxy)
    site = _site(decided, place)
    if site:
        made["site"] = site
    services = {each.name: str(each.role) for each in decided.proposal.services}
    adopted: dict[str, Any] = {"project": place.project, "files": list(place.files)}
    if place.there:
        adopted["there"] = place.there
    adopted["services"] = services
    adopted["routes"] = _routes(routes_of(decided, place), place)
    if without := _without(decided):
        adopted["without"] = list(without)
    made["adopted"] = adopted
    rotating = [each for each in decided.proposal.services if each.role.rotates]
    if any(each.service.built for each in rotating):
        made["images"] = {"from": "build"}
    return made


def app_name(project: str) -> str:
    """A name for an application, from that of its Compose project."""
    name = project.lower().replace("_", "-").strip("-")[:41]
    return name if APP_PATTERN.fullmatch(name) else "app"


def _site(decided: Decided, place: Place) -> dict[str, Any]:
    if place.behind:
        return {"behind": place.behind, **({"host": place.domain} if place.domain else {})}
    if place.domain:
        given = {"certificate": place.certificate, "key": place.key}
        return {"domain": place.domain, **{key: path for key, path in given.items() if path}}
    gone = [each for each in decided.proposal.services if each.role is Role.PROXY]
    ports = [port.published for each in gone for port in each.service.ports if port.published]
    plain = [port for port in ports if port not in TLS_PORTS]
    return {"port": plain[0]} if plain else {}


def _routes(routes: tuple[Route, ...], place: Place) -> list[dict[str, Any]]:
    """The routes; with a domain the ports that were published go on beside it."""
    made = [_route(each, place) for each in routes]
    if place.domain and not place.behind:
        beside = (each for each in routes if each.published and not each.host)
        made += [_port(each) for each in beside if each.published not in USUAL]
    return made


def _route(route: Route, place: Place) -> dict[str, Any]:
    made: dict[str, Any] = {"service": route.service, "port": route.port}
    if route.host and route.host != place.domain:
        made["host"] = route.host
    if route.path:
        made["path"] = route.path
    if route.published and (place.behind or not (place.domain or route.host)):
        made |= _port(route)
        if place.behind:
            made["bind"] = "127.0.0.1"
    return made


def _port(route: Route) -> dict[str, Any]:
    """The route by the port of the host that the Compose file publishes."""
    made = {"service": route.service, "port": route.port, "published": route.published}
    open_on = {} if route.bind in ("", "0.0.0.0", "::") else {"bind": route.bind}  # noqa: S104 - read, not bound
    return made | open_on | ({"path": route.path} if route.path else {})


def _without(decided: Decided) -> tuple[str, ...]:
    """The mounts that are left out: code of the checkout that lies over the image's."""
    return decided.proposal.code if Topic.CODE in decided.agreed else ()
