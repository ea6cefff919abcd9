"""Answers only in chunks, without a length, and with no library at all."""

import http.server
import json
import os


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.path == "/cut":  # as an application that is killed
            self.wfile.write(b"7\r\na shop \r\n")
            self.close_connection = True
            return
        parts = (b"a shop ", b"of version ", f"{os.environ['VERSION']}\n".encode())
        if self.path == "/headers":
            parts = [f"{name}: {value}\n".encode() for name, value in self.headers.items()]
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        done = json.dumps({"request": {"id": self.headers.get("X-Request-ID")}})
        for _ in range(2 if self.path == "/twice" else 1):  # as one that does again what it has done
            os.write(1, f"{done}\n".encode())  # a line is whole, whoever else prints
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
