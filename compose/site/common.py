"""What platform and rag share: identity, faults, digests, and the application's witness log."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COLOR = os.environ.get("COLOR", "none")
IMPOSTOR = "v0"
VERSION = os.environ.get("VERSION", "none")
SERVICE = os.environ.get("SERVICE", "none")
LOGS = Path(os.environ.get("LOGS", "/logs"))
FLUSH = 0.2  # seconds that a line of the witness log may wait
STREAMS = ("/events",)  # answers without a length


@dataclass(frozen=True)
class Fault:
    """How this release was told to misbehave: a kind, and a figure where it takes one."""

    kind: str = ""
    value: float = 0.0


KINDS = (
    "", "never-healthy", "healthy-after", "crash-after", "bad-smoke", "slow", "errors",
    "errors-after", "plants", "exits", "flapping", "ignores-sigterm", "out-of-memory",
    "wrong-version",
)  # fmt: skip
FLAP = 2.0  # seconds for which a flapping release is not healthy after each healthy answer
HOG, PIECE = 256 << 20, 1 << 20  # bytes that a release without room asks for, and at a time


def parse_fault(text: str) -> Fault:
    """`slow=0.5` as a Fault. Raises ValueError for a kind that nobody knows."""
    kind, _, value = text.partition("=")
    if kind not in KINDS:
        message = f"FAULT={text!r} is none of {', '.join(KINDS[1:])}"
        raise ValueError(message)
    return Fault(kind, float(value or 0))


FAULT = parse_fault(os.environ.get("FAULT", ""))
BORN = time.monotonic()
if FAULT.kind == "wrong-version":
    VERSION = IMPOSTOR


def misbehave_at_start() -> None:
    """Do what the release was told to do as it starts."""
    if FAULT.kind == "exits":
        os._exit(71)
    if FAULT.kind == "out-of-memory":
        hog = [os.urandom(PIECE) for _ in range(HOG // PIECE)]
        os._exit(72 if hog else 0)  # it was given more memory than it was to have
    if FAULT.kind == "ignores-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def digest(body: bytes) -> str:
    """The value of Content-Digest: https://www.rfc-editor.org/rfc/rfc9530."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def planted(scope: Scope) -> str:
    """What this one request asks us to do wrong, so that the proof can be seen to find it.

    "" in every release but one with FAULT=plants, which obeys the header X-Plant.
    """
    if FAULT.kind != "plants":
        return ""
    return dict(scope["headers"]).get(b"x-plant", b"").decode("latin-1")


class Witness:
    """Appends a line at the start and at the end of each request, written a little later."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._path = LOGS / f"app-{COLOR}-{SERVICE}-{socket.gethostname()}.jsonl"

    def say(self, event: str, request: str, path: str, status: int) -> None:
        """Remember that a request started or ended."""
        line = {
            "id": request,
            "event": event,
            "at_ns": time.time_ns(),
            "color": COLOR,
            "version": VERSION,
            "service": SERVICE,
            "path": path,
            "status": status,
        }
        self._lines.append(json.dumps(line, separators=(",", ":")))

    def flush(self) -> None:
        """Write what was remembered."""
        lines, self._lines = self._lines, []
        if lines:
            with self._path.open("a") as file:
                file.write("\n".join(lines) + "\n")

    async def run(self) -> None:
        """Flush for ever."""
        while True:
            await asyncio.sleep(FLUSH)
            self.flush()


witness = Witness()


class Identify:
    """ASGI middleware: who answered, to which request, with a length and a digest of the body.

    An answer is held back until its body is complete, except a stream's.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's event."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request = given or uuid.uuid4().hex[:16]
        scope["request_id"] = request
        answer = _Answer(send, request)
        plant = planted(scope)
        for _ in range({"unseen": 0, "twice": 2}.get(plant, 1)):
            witness.say("start", request, scope["path"], 0)
        try:
            if scope["type"] == "http" and await self._misbehaved(scope, answer):
                return
            sender = answer.pass_on if _streams(scope) else answer.hold
            await self._app(scope, receive, sender)
        except Exception:
            # Starlette has answered 500 by now and raises for the server to log. Were it to reach
            # uvicorn, that would close the connection, and the proxy's next request on it be lost.
            if not answer.complete:
                raise
            traceback.print_exc()
        finally:
            if plant != "unseen":
                event = "end" if answer.complete else "cut"
                witness.say(event, request, scope["path"], answer.status)

    async def _misbehaved(self, scope: Scope, answer: _Answer) -> bool:
        if scope["path"] in ("/healthz", "/ready"):
            return False
        if FAULT.kind == "slow":
            await asyncio.sleep(FAULT.value)
        broken = int.from_bytes(os.urandom(4)) / 2**32 < _share_of_errors()
        if broken or (FAULT.kind == "bad-smoke" and scope["path"] == "/items"):
            await answer.hold(
                {
                    "type": "http.response.start",
                    "status": 500,
                    "headers": [(b"content-type", b"text/plain")],
                }
            )
            await answer.hold({"type": "http.response.body", "body": b"told to fail\n"})
            return True
        return False


def _share_of_errors() -> float:
    """Of the requests: as told, or one in twenty from the `errors-after`th second on."""
    if FAULT.kind == "errors":
        return FAULT.value
    late = FAULT.kind == "errors-after" and time.monotonic() - BORN > FAULT.value
    return 0.05 if late else 0.0


def _streams(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["path"] in STREAMS


class _Answer:
    """One answer on its way out."""

    def __init__(self, send: Send, request: str) -> None:
        self._send = send
        self._start: dict[str, Any] = {}
        self._parts: list[bytes] = []
        self._identity = [
            (b"x-color", COLOR.encode()),
            (b"x-version", VERSION.encode()),
            (b"x-request-id", request.encode("latin-1")),
        ]
        self.status = 0
        self.complete = False

    async def hold(self, message: dict[str, Any]) -> None:
        """Keep the start and every part of the body until the last."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._parts.append(message.get("body", b""))
        if message.get("more_body"):
            return
        body = b"".join(self._parts)
        headers = [pair for pair in self._start["headers"] if pair[0] != b"content-length"]
        headers += [*self._identity, (b"content-length", str(len(body)).encode())]
        if b"content-digest" not in dict(headers):
            headers.append((b"content-digest", digest(body).encode()))
        self.status = self._start["status"]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
        self.complete = True

    async def pass_on(self, message: dict[str, Any]) -> None:
        """Send each part at once, with the identity on its head."""
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.status = message.get("status", 101)
            headers = [*message.get("headers", []), *self._identity]
            message = {**message, "headers": headers}
        await self._send(message)
        ended = message["type"] == "http.response.body" and not message.get("more_body")
        self.complete = self.complete or ended or message["type"] == "websocket.close"


class Flap:
    """Healthy for one answer, and then not for FLAP seconds, again and again."""

    _until = 0.0

    def passes(self) -> bool:
        """Whether this answer is a healthy one."""
        now = time.monotonic()
        if now < self._until:
            return False
        self._until = now + FLAP
        return True


flap = Flap()


def healthy() -> bool:
    """Whether the release, as it was told to behave, may call itself ready now."""
    if FAULT.kind == "never-healthy" or (FAULT.kind == "flapping" and not flap.passes()):
        return False
    age = time.monotonic() - BORN
    if FAULT.kind == "crash-after" and age > FAULT.value:
        os._exit(70)
    return not (FAULT.kind == "healthy-after" and age < FAULT.value)


async def crash_when_told() -> None:
    """End the process `crash-after` seconds after it was born."""
    if FAULT.kind == "crash-after":
        await asyncio.sleep(FAULT.value)
        witness.flush()
        os._exit(70)
