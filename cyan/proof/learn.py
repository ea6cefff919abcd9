"""load.yaml from what a site's users did: a log of Caddy or nginx, a HAR, or its OpenAPI: pure.

Nothing that identifies a user, or lets one in, is learned: no cookie, no header but Accept, no
value of a parameter or a part of a path that looks like a secret.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from cyan.errors import UsageError
from cyan.names import names_a_path
from cyan.proof.loadfile import SAFE, LoadFile, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST_SHAPES = 40
MOST_VALUES = 50
OFTEN = 0.05
"""A status is expected that so great a share of a request's answers had."""

MANY = 12
"""A part of a path that takes more values than this is no name, but a value."""

ERROR, NOT_MODIFIED, WELL = 400, 304, 200

COMBINED = re.compile(
    r'\S+ \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<uri>\S+) [^"]*" (?P<status>\d{3}) '
)
"""https://nginx.org/en/docs/http/ngx_http_log_module.html: the predefined format `combined`."""

SECRET_NAME = re.compile(
    r"(?i)(tok(en)?|key|secret|passw|pwd|auth|sess|sid|sig|code|otp|nonce|state|csrf|mail|phone"
    r"|jwt|credential|user|name)"
)
VALUE = re.compile(r"\d+|[0-9a-fA-F]{8,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Parts of a path that are values by their form: numbers, hexadecimal, UUIDs."""

SECRET_VALUE = re.compile(
    r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_.~+/=-]{20,}|eyJ[\w.-]+|[^@\s]+@[^@\s]+\.[^@\s]+"
)
"""Long and random, a JSON Web Token, or an address of mail."""

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


FILE = re.compile(
    r"\.(js|css|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|html?|txt|xml|json|pdf|mp4)$"
)


@dataclass(frozen=True)
class Seen:
    """One request of a user: `uri` with its query, when (wall seconds, 0 where nobody knows)."""

    method: str
    uri: str
    status: int
    at: float = 0.0
    body: str = ""
    kind: str = ""  # Content-Type of the body


@dataclass(frozen=True)
class Learned:
    """A load, and in words what was left out of it."""

    load: LoadFile
    left_out: tuple[str, ...]


@dataclass
class _Group:
    """The requests of one method and one form of path."""

    statuses: Counter[int] = field(default_factory=Counter)
    values: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    body: str = ""
    kind: str = ""

    @property
    def n(self) -> int:
        return sum(self.statuses.values())


def learn(text: str, *, writes: bool = False, host: str = "") -> Learned:
    """The load that a log, a HAR or an OpenAPI document tells of, by what it is.

    Without `writes` only of methods that change nothing; of a log only of `host`, where given.
    Raises UsageError for what is none of these, or tells of no request.
    """
    seen, weights = _read(text, host)
    return _made(seen, weights, writes=writes)


def _read(text: str, host: str) -> tuple[list[Seen], bool]:
    """The requests that a text tells of, and whether how many there are says how often."""
    start = text.lstrip()[:1]
    if start == "{":
        whole = _whole(text)
        if isinstance(whole, dict) and "paths" in whole:
            return list(_openapi(whole)), False
        if isinstance(whole, dict) and "log" in whole:
            return list(_har(whole, host)), True
        return list(_caddy(text, host)), True
    found = [seen for line in text.splitlines() if (seen := _combined(line))]
    if not found:
        raise UsageError(
            "this is no log of Caddy's or nginx's, no HAR and no OpenAPI document",
            todo="nginx: log_format combined; Caddy: log { format json }",
        )
    return found, True


def _whole(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except ValueError:
        return None


def _caddy(text: str, host: str) -> Iterator[Seen]:
    for line in text.splitlines():
        told = _whole(line)
        request = told.get("request") if isinstance(told, dict) else None
        if not isinstance(request, dict) or "status" not in told:
            continue
        name = str(request.get("host", "")).split(":", maxsplit=1)[0]
        if host and name != host:
            continue
        uri, at = str(request.get("uri", "")), told.get("ts", 0.0)
        when = float(at) if isinstance(at, int | float) else 0.0
        yield Seen(str(request.get("method", "")), uri, int(told["status"]), when)


def _combined(line: str) -> Seen | None:
    found = COMBINED.match(line)
    if not found:
        return None
    try:
        at = datetime.strptime(found["at"], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    except ValueError:
        at = 0.0
    return Seen(found["method"], found["uri"], int(found["status"]), at)


def _har(whole: Mapping[str, Any], host: str) -> Iterator[Seen]:
    """https://w3c.github.io/web-performance/specs/HAR/Overview.html; of its first host's alone."""
    entries = whole["log"].get("entries", ())
    urls = [urlsplit(str(each["request"]["url"])) for each in entries]
    mine = host or next((url.hostname or "" for url in urls), "")
    for each, url in zip(entries, urls, strict=True):
        if url.hostname != mine:
            continue
        data = each["request"].get("postData") or {}
        uri = url.path + (f"?{url.query}" if url.query else "")
        yield Seen(
            str(each["request"]["method"]),
            uri,
            int(each["response"]["status"]),
            body=str(data.get("text", "")),
            kind=str(data.get("mimeType", "")),
        )


def _openapi(whole: Mapping[str, Any]) -> Iterator[Seen]:
    """What can be asked without a body, with the examples that it has."""
    for path, item in whole["paths"].items():
        for method, operation in item.items():
            if method.upper() not in SAFE or not isinstance(operation, dict):
                continue
            told = [*item.get("parameters", ()), *operation.get("parameters", ())]
            uri = _filled(str(path), told)
            statuses = [int(code) for code in operation.get("responses", {}) if code.isdigit()]
            good = [code for code in statuses if WELL <= code < ERROR] or [WELL]
            if uri:
                yield Seen(method.upper(), uri, good[0])


def _filled(path: str, parameters: Iterable[Mapping[str, Any]]) -> str:
    """A path with an example in the place of each part; "" where a part has none."""
    query = {}
    for each in parameters:
        schema = each.get("schema") or {}
        known = (each.get("example"), schema.get("example"), schema.get("default"))
        value = next((one for one in known if one is not None), None)
        if value is None and schema.get("enum"):
            value = schema["enum"][0]
        if value is None and schema.get("type") == "integer":
            value = schema.get("minimum", 1)
        if each.get("in") == "path":
            if value is None:
                return ""
            path = path.replace("{" + str(each["name"]) + "}", quote(str(value), safe=""))
        elif each.get("in") == "query" and value is not None and each.get("required"):
            query[str(each["name"])] = str(value)
    if "{" in path:
        return ""
    return path + (f"?{urlencode(query)}" if query else "")


def _made(seen: list[Seen], weights: bool, *, writes: bool) -> Learned:  # noqa: FBT001 - as read
    left: Counter[str] = Counter()
    groups: dict[tuple[str, str], _Group] = defaultdict(_Group)
    varies = _varying(each for each in seen if each.method in SAFE or writes)
    for each in seen:
        why = _unwanted(each, writes=writes)
        if why:
            left[why] += 1
            continue
        path, values = _template(each.uri, varies)
        group = groups[each.method, path]
        group.statuses[each.status] += 1
        group.body, group.kind = each.body, each.kind
        for name, value in values.items():
            group.values[name][value] += 1
    shapes: list[Shape] = []
    for (method, path), group in sorted(groups.items(), key=lambda item: -item[1].n):
        shape = _shape(method, path, group, weights=weights)
        if shape is None:
            left[f"{method} {path}: mostly answered with an error"] += group.n
        elif len(shapes) == MOST_SHAPES:
            left[f"other than the {MOST_SHAPES} most frequent"] += group.n
        else:
            shapes.append(shape)
    if not shapes:
        raise UsageError(
            "no request was found that could be repeated",
            where="; ".join(_words(left)),
            todo="--writes takes those that change something as well",
        )
    return Learned(LoadFile(requests=tuple(shapes), rates=_rates(seen)), tuple(_words(left)))


def _words(left: Counter[str]) -> Iterator[str]:
    return (f"{count:,} requests left out: {why}" for why, count in left.most_common())


def _unwanted(seen: Seen, *, writes: bool) -> str:
    """Why a request is not learned; "" where it is."""
    if seen.method not in SAFE and not writes:
        return "they change something (--writes)"
    if seen.method not in {*SAFE, "POST", "PUT", "PATCH", "DELETE"}:
        return f"method {seen.method}"
    if not names_a_path(urlsplit(seen.uri).path):
        return "their path is none"
    if seen.status == 101 or not seen.status:  # noqa: PLR2004 - Switching Protocols
        return "WebSockets"
    if any(_secret(part) for part in urlsplit(seen.uri).path.split("/")):
        return "their path holds what looks like a secret"
    return ""


def _secret(part: str) -> bool:
    """Whether a part of a path could let somebody in; not a file's name, nor a UUID."""
    plain = UUID.fullmatch(part) or FILE.search(part)
    return bool(SECRET_VALUE.fullmatch(part)) and not plain


def _varying(seen: Iterable[Seen]) -> frozenset[tuple[str, ...]]:
    """The beginnings of paths after which so many names come that they are values."""
    after: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for each in seen:
        parts = urlsplit(each.uri).path.split("/")[1:]
        for place, part in enumerate(parts):
            after[tuple(_marked(p) for p in parts[:place])].add(part)
    return frozenset(begin for begin, names in after.items() if begin and len(names) > MANY)


def _marked(part: str) -> str:
    return "{}" if VALUE.fullmatch(part) else part


def _template(uri: str, varies: frozenset[tuple[str, ...]]) -> tuple[str, dict[str, str]]:
    """A path with names in the place of values, and the values."""
    url = urlsplit(uri)
    values: dict[str, str] = {}
    made = []
    parts = url.path.split("/")[1:]
    for place, part in enumerate(parts):
        begin = tuple(_marked(each) for each in parts[:place])
        if part and (VALUE.fullmatch(part) or begin in varies):
            name = f"{_singular(parts[place - 1]) if place else 'page'}_{place}"
            values[name] = part
            made.append("{" + name + "}")
        else:
            made.append(part.replace("{", "%7B").replace("}", "%7D"))
    query = []
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if SECRET_NAME.search(name) or SECRET_VALUE.fullmatch(value):
            continue
        key = f"q_{re.sub(r'[^a-z0-9]', '_', name.lower())}"
        values[key] = quote(value, safe="")
        query.append(f"{quote(name, safe='')}={{{key}}}")
    path = "/" + "/".join(made) + (f"?{'&'.join(query)}" if query else "")
    return path, values


def _singular(part: str) -> str:
    word = re.sub(r"[^a-z0-9]", "_", part.lower()) or "part"
    return word[:-1] if word.endswith("s") and len(word) > 1 else word


def _shape(method: str, path: str, group: _Group, *, weights: bool) -> Shape | None:
    """The request of a group; None where it mostly fails."""
    n = group.n
    good: Counter[int] = Counter()
    for status, count in group.statuses.items():
        if status < ERROR:  # without the client's copy, it would have been the whole
            good[WELL if status == NOT_MODIFIED else status] += count
    if sum(good.values()) * 2 <= n:
        return None
    expects = sorted(status for status, count in good.items() if count >= n * OFTEN)
    json_body = group.body and "json" in group.kind
    return Shape(
        path=path,
        method=method,  # type: ignore[arg-type] # one of them: _unwanted
        values={
            name: tuple(value for value, _ in counts.most_common(MOST_VALUES))
            for name, counts in group.values.items()
        },
        weight=n if weights else 1,
        expects=tuple(expects) or (WELL,),
        headers={"Content-Type": "application/json"} if json_body else {},
        body=group.body,
    )


def _rates(seen: Iterable[Seen]) -> dict[int, float]:
    """Requests a second in each hour of the day (UTC), over the days that were seen."""
    at = [datetime.fromtimestamp(each.at, UTC) for each in seen if each.at]
    if not at:
        return {}
    hours = Counter(each.hour for each in at)
    days = {each.hour: len({e.date() for e in at if e.hour == each.hour}) for each in at}
    return {hour: round(count / days[hour] / 3600, 4) for hour, count in sorted(hours.items())}
