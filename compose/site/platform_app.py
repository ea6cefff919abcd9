"""platform: the public service. Run as `uvicorn platform_app:app`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
from common import (
    COLOR,
    VERSION,
    Identify,
    crash_when_told,
    digest,
    healthy,
    misbehave_at_start,
    planted,
    witness,
)
from inputs import number_of, order_of
from page import page
from plants import ORDERS
from psycopg import DataError
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection
    from starlette.requests import Request

pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
    os.environ.get("DATABASE", ""), min_size=2, max_size=12, open=False, timeout=20
)
rag = httpx.AsyncClient(base_url="http://rag:8000", timeout=5)
ITEMS = [{"id": number, "name": f"item {number}", "price": number * 7 % 90} for number in range(40)]
BLOCK = hashlib.sha256(b"cyan").digest() * 2048  # 64 KiB


async def home(_request: Request) -> Response:
    """The page that a person looks at."""
    return HTMLResponse(page(COLOR, VERSION))


async def items(_request: Request) -> Response:
    """All items."""
    return JSONResponse({"items": ITEMS})


async def item(request: Request) -> Response:
    """One item."""
    number = request.path_params["number"]
    if number >= len(ITEMS):
        return JSONResponse({"error": "no such item"}, 404)
    return JSONResponse(ITEMS[number])


async def post_order(request: Request) -> Response:
    """Take an order: acknowledged only after it is committed, with the job that it causes."""
    order = order_of(await request.body())
    if order is None:
        return JSONResponse({"error": 'wants {"item": text, "quantity": integer}'}, 422)
    request_id = request.scope["request_id"]
    async with pool.connection() as connection:
        row = await (
            await connection.execute(
                ORDERS.get(planted(request.scope), ORDERS[""]),
                {
                    "id": request_id,
                    "item": order[0],
                    "quantity": order[1],
                    "color": COLOR,
                    "version": VERSION,
                },
            )
        ).fetchone()
    assert row is not None  # noqa: S101 - each of them returns a row
    return JSONResponse({"order": row[0], "request_id": request_id}, 201)


async def get_order(request: Request) -> Response:
    """The orders of one request id."""
    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT id, item, quantity FROM orders WHERE request_id = %s",
            (request.path_params["request_id"],),
        )
        rows = await found.fetchall()
    orders = [{"order": row[0], "item": row[1], "quantity": row[2]} for row in rows]
    return JSONResponse({"orders": orders}, 200 if orders else 404)


async def login(request: Request) -> Response:
    """Log in by name: the session is in the database, so both colors know it."""
    try:
        name = str((await request.json())["name"])[:200]
    except (ValueError, KeyError, TypeError):
        return JSONResponse({"error": 'wants {"name": text}'}, 422)
    token = secrets.token_urlsafe(18)
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO sessions (token, name) VALUES (%s, %s)", (token, name)
        )
    answer = JSONResponse({"name": name})
    answer.set_cookie("session", token, httponly=True, samesite="lax")
    return answer


async def me(request: Request) -> Response:
    """Who is logged in."""
    token = request.cookies.get("session", "")
    async with pool.connection() as connection:
        found = await connection.execute("SELECT name FROM sessions WHERE token = %s", (token,))
        row = await found.fetchone()
    return JSONResponse({"name": row[0]}) if row else JSONResponse({"error": "log in"}, 401)


async def slow(request: Request) -> Response:
    """An answer that takes its time."""
    seconds = number_of(request.query_params.get("s"), default=1, most=120)
    await asyncio.sleep(seconds)
    return JSONResponse({"slept": seconds})


async def download(request: Request) -> Response:
    """A large body, the same for the same size."""
    size = int(number_of(request.query_params.get("bytes"), default=5e6, most=5e7))
    body, checksum = large(size)
    headers = {"content-digest": checksum}
    return Response(body, media_type="application/octet-stream", headers=headers)


@lru_cache(maxsize=2)  # its checksum alone takes the event loop many milliseconds
def large(size: int) -> tuple[bytes, str]:
    """A body of `size` bytes and its Content-Digest."""
    body = (BLOCK * (size // len(BLOCK) + 1))[:size]
    return body, digest(body)


async def ask(request: Request) -> Response:
    """Ask rag: it must be of our color and version; 409 where it is not, and nowhere else."""
    try:
        answer = (await rag.get("/answer")).json()
    except (httpx.HTTPError, ValueError) as error:
        return JSONResponse({"error": f"rag: {error}"}, 502)
    own = {"color": COLOR, "version": VERSION}
    if planted(request.scope) == "mixed":
        answer = {**answer, "color": "another"}
    return JSONResponse({"platform": own, "rag": answer}, 200 if answer == own else 409)


async def events(request: Request) -> Response:
    """Server-sent events for some seconds; the last one carries the digest of all before."""
    seconds = number_of(request.query_params.get("seconds"), default=4, most=300)
    return StreamingResponse(_events(seconds), media_type="text/event-stream")


async def _events(seconds: float) -> AsyncIterator[bytes]:
    seen = hashlib.sha256()
    for number in range(round(seconds / 0.2)):
        part = f"data: {json.dumps({'n': number, 'color': COLOR, 'version': VERSION})}\n\n".encode()
        seen.update(part)
        yield part
        await asyncio.sleep(0.2)
    yield f"event: end\ndata: {seen.hexdigest()}\n\n".encode()


async def echo(socket: WebSocket) -> None:
    """A WebSocket that answers each text with who answers."""
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        number = 0
        while True:
            text = await socket.receive_text()
            number += 1
            await socket.send_json({"echo": text, "color": COLOR, "version": VERSION, "n": number})


async def refused(_request: Request, error: Exception) -> Response:
    """What is no number, or what PostgreSQL cannot store, such as a NUL in a text."""
    return JSONResponse({"error": str(error)}, 422)


async def healthz(_request: Request) -> Response:
    """The process is alive."""
    return JSONResponse({"alive": True})


async def ready(_request: Request) -> Response:
    """The database and rag are reached."""
    try:
        async with asyncio.timeout(2):  # less than the health check's own
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            answer = await rag.get("/ready")
    except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
        return JSONResponse({"ready": False, "why": repr(error)}, 503)
    good = healthy() and answer.status_code == 200  # noqa: PLR2004
    return JSONResponse({"ready": good}, 200 if good else 503)


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Open the pool without waiting for the database: /ready tells whether it is there."""
    misbehave_at_start()
    await pool.open(wait=False)
    tasks = [asyncio.create_task(witness.run()), asyncio.create_task(crash_when_told())]
    yield
    for task in tasks:
        task.cancel()
    await pool.close()
    await rag.aclose()
    witness.flush()


app = Identify(
    Starlette(
        lifespan=lifespan,
        exception_handlers={DataError: refused, ValueError: refused},
        routes=[
            Route("/", home),
            Route("/items", items),
            Route("/items/{number:int}", item),
            Route("/orders", post_order, methods=["POST"]),
            Route("/orders/{request_id}", get_order),
            Route("/login", login, methods=["POST"]),
            Route("/me", me),
            Route("/slow", slow),
            Route("/download", download),
            Route("/ask", ask),
            Route("/events", events),
            WebSocketRoute("/ws", echo),
            Route("/healthz", healthz),
            Route("/ready", ready),
        ],
    )
)
