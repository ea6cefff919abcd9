"""Keeps orders in SQLite, in one file: a second process on it would spoil it, so it refuses to run."""

import fcntl
import http.server
import os
import sqlite3
import sys
import threading

alone = open("/data/alone", "w")
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open("/data/ran-twice", "w").close()
    sys.exit("another process has the database")

database = sqlite3.connect("/data/notes.sqlite", check_same_thread=False, isolation_level=None)
database.execute("create table if not exists orders (id text)")
one = threading.Lock()


def ask(query, *values):
    with one:
        return database.execute(query, values).fetchall()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/orders":
            self.say("\n".join(row[0] for row in ask("select id from orders")))
        elif self.path == "/ran-twice":
            self.say(str(os.path.exists("/data/ran-twice")))
        else:
            self.say(f"a shop of version {os.environ['VERSION']}\n")

    def do_POST(self):
        order = self.rfile.read(int(self.headers["Content-Length"])).decode()
        ask("insert into orders values (?)", order)
        self.say("thank you")

    def say(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # of Python's own 5 the kernel turns some away


Server(("0.0.0.0", 8000), Handler).serve_forever()
