"""The applications of the heart test and their callers, for any Python 3.11 without packages.

    app.py serve-http NAME PORT     answers every request with who it is and which caller its proxy named
    app.py serve-tcp NAME PORT      greets with its name, then sends back what it gets
    app.py get URL                  one request; prints {"status", "body"} (status 0: no answer)
    app.py talk HOST PORT           one short connection; prints {"greeting", "echo"}, empty if it was cut
    app.py hold HOST PORT           keeps a connection busy; prints {"greeting"}, when it ends {"cut_s", "again"}:
                                    the time, and the greeting that a new connection got
    app.py repeat URL               requests without end; prints {"status"} of the first, and of the first one that
                                    is refused {"cut_s", "status"}

Servers listen on loopback only: what comes from elsewhere has to pass their proxy. It must never import ours.
"""

import json
import socket
import socketserver
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TIMEOUT_S = 10.0
PAUSE_S = 0.02


def say(**facts: Any) -> None:
    """One line of JSON."""
    print(json.dumps(facts), flush=True)  # noqa: T201 - whoever started this reads it


def serve_http(name: str, port: str) -> None:
    """Answer until killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            caller = self.headers.get("x-forwarded-client-cert", "")
            body = json.dumps({"instance": name, "caller": caller, "path": self.path}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: the proxy keeps the access log."""

    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


def serve_tcp(name: str, port: str) -> None:
    """Greet and echo until killed."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(f"hello from {name}\n".encode())
            while data := self.request.recv(4096):
                self.request.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A connection that was cut is what the test is about."""

    Server(("127.0.0.1", int(port)), Handler).serve_forever()


def get(url: str) -> None:
    """One request and its answer."""
    status, body = ask(url)
    say(status=status, body=body)


def ask(url: str) -> tuple[int, str]:
    """Status and body; status 0 and the reason when there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return 0, str(error)


def talk(host: str, port: str) -> None:
    """One short connection."""
    greeting, echo = exchange(host, port)
    say(greeting=greeting, echo=echo)


def exchange(host: str, port: str) -> tuple[str, str]:
    """Greeting and echo of one short connection, empty when it was cut before."""
    greeting = echo = ""
    try:
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            lines = connection.makefile("rw", encoding="utf-8", newline="\n")
            greeting = lines.readline().strip()
            lines.write("ping\n")
            lines.flush()
            echo = lines.readline().strip()
    except OSError:
        pass
    return greeting, echo


def hold(host: str, port: str) -> None:
    """A connection that is never quiet, until it is cut; then one more."""
    try:
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            lines = connection.makefile("rw", encoding="utf-8", newline="\n")
            say(greeting=lines.readline().strip())
            while True:
                lines.write("ping\n")
                lines.flush()
                if lines.readline() != "ping\n":
                    break
                time.sleep(PAUSE_S)  # noqa: TID251 - it stands for a program that knows no trio
    except OSError:
        pass
    cut_s = time.time()
    say(cut_s=cut_s, again=exchange(host, port)[0])


def repeat(url: str) -> None:
    """Requests, each on a connection of its own, until one is refused. One that is cut under way is no answer: the next one tells."""
    status, _ = ask(url)
    say(status=status)
    while status in {200, 0}:
        time.sleep(PAUSE_S)  # noqa: TID251 - it stands for a program that knows no trio
        status, _ = ask(url)
    say(cut_s=time.time(), status=status)


COMMANDS = {"serve-http": serve_http, "serve-tcp": serve_tcp, "get": get, "talk": talk, "hold": hold, "repeat": repeat}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
