"""Orders in PostgreSQL, by FastAPI."""

import os

import psycopg2
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

app = FastAPI(default_response_class=PlainTextResponse)


def database():
    return psycopg2.connect(os.environ["DATABASE_URL"])


with database() as first, first.cursor() as cursor:
    cursor.execute("SELECT pg_advisory_xact_lock(1)")
    cursor.execute("CREATE TABLE IF NOT EXISTS shop_orders (id text)")


@app.get("/")
def index() -> str:
    return f"a shop of version {os.environ['VERSION']}\n"


@app.post("/orders")
async def order(request: Request) -> str:
    body = (await request.body()).decode()
    with database() as mine, mine.cursor() as cursor:
        cursor.execute("INSERT INTO shop_orders VALUES (%s)", (body,))
    return "thank you\n"


@app.get("/orders")
def orders() -> str:
    with database() as mine, mine.cursor() as cursor:
        cursor.execute("SELECT id FROM shop_orders")
        return "".join(f"{each}\n" for (each,) in cursor.fetchall())
