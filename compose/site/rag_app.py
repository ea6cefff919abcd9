"""rag: the internal service that platform asks. Run as `uvicorn rag_app:app`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from common import COLOR, VERSION, Identify, witness
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


async def answer(_request: Request) -> Response:
    """Who answers."""
    return JSONResponse({"color": COLOR, "version": VERSION})


async def ready(_request: Request) -> Response:
    """Nothing is needed to answer."""
    return JSONResponse({"ready": True})


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Keep the witness log."""
    task = asyncio.create_task(witness.run())
    yield
    task.cancel()
    witness.flush()


app = Identify(
    Starlette(
        lifespan=lifespan,
        routes=[Route("/answer", answer), Route("/ready", ready), Route("/healthz", ready)],
    )
)
