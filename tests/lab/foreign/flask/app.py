"""Orders in PostgreSQL, by Flask."""

import os
import socket

import psycopg2
from flask import Flask, request

app = Flask(__name__)


def database():
    return psycopg2.connect(os.environ["DATABASE_URL"])


with database() as first, first.cursor() as cursor:
    cursor.execute("SELECT pg_advisory_xact_lock(1)")  # two workers begin at once
    cursor.execute("CREATE TABLE IF NOT EXISTS shop_orders (id text)")


@app.get("/")
def index():
    return f"a shop, by {socket.gethostname()}\n"


@app.post("/orders")
def order():
    with database() as mine, mine.cursor() as cursor:
        cursor.execute("INSERT INTO shop_orders VALUES (%s)", (request.get_data(as_text=True),))
    return "thank you\n"


@app.get("/orders")
def orders():
    with database() as mine, mine.cursor() as cursor:
        cursor.execute("SELECT id FROM shop_orders")
        return "".join(f"{each}\n" for (each,) in cursor.fetchall())
