#!/usr/bin/env python3
"""Bring the database up to date, then serve.

    DATABASE_URL=postgresql:///app PORT=8000 python3 serve.py
"""
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def migrate():
    """Run `rung up`.  Where it fails, end as it ended: nothing is served then."""
    rung = None

    def stop(*_):  # whoever stops us stops it, which rolls back and ends with 143
        if rung is None:
            sys.exit(143)
        rung.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to rung as well
    rung = subprocess.Popen(["rung", "up", "--wait", "60s"])
    status = rung.wait()
    if status != 0:
        sys.exit(status if status > 0 else 128 - status)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ready\n")


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler)
    print(f"serving on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    migrate()
    serve()
