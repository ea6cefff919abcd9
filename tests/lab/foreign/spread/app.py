"""Orders in PostgreSQL, by several processes on several machines."""

import json
import os
import socket

import psycopg
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

LAME = os.environ.get("LAME") == os.environ["SLOT"]


def database():
    return psycopg.connect(os.environ["DATABASE_URL"])


with database() as first:
    first.execute("SELECT pg_advisory_xact_lock(1)")  # they begin at once
    first.execute("CREATE TABLE IF NOT EXISTS shop_orders (id text)")


def log(request):
    line = json.dumps({"request": {"id": request.headers.get("x-request-id", "")}})
    os.write(1, f"{line}\n".encode())  # print() writes its end by itself, and threads mix them up


def index(request):
    log(request)
    told = f"a shop on {socket.gethostname()} of version {os.environ['VERSION']}\n"
    return PlainTextResponse(told, status_code=503 if LAME else 200)


def health(request):
    return PlainTextResponse("ok\n")


async def order(request):
    log(request)
    body = (await request.body()).decode()
    with database() as mine:
        mine.execute("INSERT INTO shop_orders VALUES (%s)", (body,))
    return PlainTextResponse("thank you\n")


def orders(request):
    log(request)
    with database() as mine:
        found = mine.execute("SELECT id FROM shop_orders").fetchall()
    return PlainTextResponse("".join(f"{each}\n" for (each,) in found))


app = Starlette(
    routes=[
        Route("/", index),
        Route("/health", health),
        Route("/orders", order, methods=["POST"]),
        Route("/orders", orders),
    ]
)
