"""A verification of an application that knows nothing of cyan: its load, and its witnesses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from cyan.errors import UsageError
from cyan.proof import loadfile

if TYPE_CHECKING:
    from cyan.proof.history import Observation
    from cyan.proof.run import RunSpec
    from cyan.settings import Settings

FILE = "load.yaml"
"""The load that a run was judged with, in its folder."""

EXPECTED = 20.0
"""A journey of which a run sends fewer on average need not be there: some are rare by nature."""

NEVER = 2.0
"""Seconds in which a site must answer before it is loaded."""


def possible(*, http2: bool, elsewhere: bool) -> None:
    """Raise UsageError for what only the demo has: journeys over TLS, and on other machines."""
    if http2:
        raise UsageError("--http2 has the demo's own journey", todo="leave it out")
    if elsewhere:
        raise UsageError(
            "--workers would not have this machine's load.yaml", todo="--processes shares it here"
        )


def live(seen: Observation) -> None:
    """Raise UsageError where no color is live: a take-over is agreed to, not done under load."""
    if not seen.live:
        raise UsageError("no release of cyan's is live yet", todo=_DEPLOY)


def loaded(spec: RunSpec, settings: Settings) -> RunSpec:
    """The run with the load of load.yaml, or else of what each route answers now.

    The load is kept in the run's folder, in which it is judged. Raises UsageError.
    """
    made = loadfile.read(settings.verify.load) if settings.verify.load else asked(spec, settings)
    spec.folder.mkdir(parents=True, exist_ok=True)
    path = spec.folder / FILE
    path.write_text(text(made), encoding="utf-8")
    load = spec.load
    return replace(spec, load=replace(load, extra=(*load.extra, "--load", str(path))))


def text(load: loadfile.LoadFile) -> str:
    """A load as its file."""
    kept = load.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def asked(spec: RunSpec, settings: Settings) -> loadfile.LoadFile:
    """The ready path and the route of each path, expected to be answered as they are now.

    Raises UsageError where the site answers none of them, or with an error.
    """
    assert settings.adopted is not None  # noqa: S101 - for the type checker
    routes = (route.path.rstrip("*") for route in settings.adopted.routes if not route.host)
    paths = dict.fromkeys((settings.public.ready, *(path for path in routes if path)))
    shapes = tuple(
        loadfile.Shape(path=path, expects=(_status(spec, path),), weight=1) for path in paths
    )
    return loadfile.LoadFile(requests=shapes)


def _status(spec: RunSpec, path: str) -> int:
    """What the site answers to a user who asks for a path now."""
    import httpx  # noqa: PLC0415 - slow to import

    load = spec.load
    try:
        if load.connect:
            return _secure_status(load.url, load.connect, load.authority, path)
        answer = httpx.get(load.url + path, timeout=NEVER, follow_redirects=False)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise UsageError(f"{load.url}{path} does not answer: {why}", todo=_DEPLOY) from None
    return _well(answer.status_code, f"{load.url}{path}")


_DEPLOY = "deploy a version first: cyan deploy --version A"


def _secure_status(url: str, connect: str, authority: str, path: str) -> int:
    """As `_status`, where a name such as shop.localhost leads to this machine."""
    from loadtests.client import Call, Session  # noqa: PLC0415 - imports gevent
    from loadtests.place import Place  # noqa: PLC0415 - as well

    session = Session(Place(url, connect, authority), 0)
    answer = session.call(Call("ready", "GET", path, tuple(range(100, 600))), "0" * 16)
    session.close()
    if answer.failure:
        raise UsageError(f"{url}{path} does not answer: {answer.error}", todo=_DEPLOY)
    return _well(answer.status, f"{url}{path}")


def _well(status: int, where: str) -> int:
    if status >= 500:  # noqa: PLR2004 - its own fault: RFC 9110, section 15.6
        raise UsageError(f"{where} answers {status}", todo="mend that first, or " + _DEPLOY)
    return status


def kept(spec: RunSpec, settings: Settings) -> dict[str, Any]:
    """What the judgement must know of such a run: which witnesses there are, and what is sent."""
    if not settings.adopted:
        return {}
    made = loadfile.read(spec.folder / FILE)
    total = sum(shape.weight for shape in made.requests) or 1.0
    n = spec.load.rate * (spec.steady + sum(10 + spec.gap for _ in spec.acts))
    often = [shape for shape in made.requests if shape.weight / total * n >= EXPECTED]
    given = {"application": settings.verify.application, "ledger": settings.verify.ledger}
    more = (name for name, asked in given.items() if asked)
    return {
        "public": settings.public.service,
        "witnesses": ["proxy", *more, "journal"],
        "journeys": [shape.title for shape in often],
        "methods": sorted({shape.method for shape in often}),
        "writes": [shape.title for shape in made.requests if shape.writes],
    }
