"""The edge to the API server, against a small server on loopback: what it raises, and that it ends when told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from agents.k8s.kube_api import KubeApi, Listing
from agents.k8s.reflector import GoneError, Json, UnavailableError

EVENT = {"type": "ADDED", "object": {"metadata": {"namespace": "d", "name": "a", "resourceVersion": "5"}}}


class Api(BaseHTTPRequestHandler):
    """Answers by the path's last word."""

    protocol_version = "HTTP/1.1"
    asked: dict[str, list[str]]
    authorization: str

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        type(self).asked = parse_qs(url.query)
        type(self).authorization = self.headers.get("authorization", "")
        what = url.path.rpartition("/")[2]
        if what == "gone":
            self.send_error(410, "too old")
        elif what == "broken":
            self.send_error(500, "no")
        elif what == "text":
            self._send(b"[1]")
        elif "watch" in self.asked:
            self._stream(what)
        else:
            self._send(json.dumps({"metadata": {"resourceVersion": "7"}, "items": []}).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, what: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = json.dumps(EVENT).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()
        if what == "cut":
            self.close_connection = True
        elif what == "short":
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.rfile.read(1)  # until the client goes

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
        """Say nothing."""


@contextmanager
def kube(folder: Path) -> Iterator[KubeApi]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (folder / "config").write_text(json.dumps(config))
    try:
        yield KubeApi(str(folder / "config"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_page_is_asked_for_with_selectors_and_token(tmp_path: Path) -> None:
    """Selectors, the page size and the continue token are in the query, the account's token in the head."""
    with kube(tmp_path) as api:
        page = await Listing(api, "/pods", field_selector="spec.nodeName=n1").list_page("t1")
    assert page["metadata"]["resourceVersion"] == "7"
    assert Api.asked == {"limit": ["500"], "fieldSelector": ["spec.nodeName=n1"], "continue": ["t1"]}
    assert Api.authorization == "Bearer t"


@pytest.mark.parametrize(
    ("path", "error"), [("/gone", GoneError), ("/broken", UnavailableError), ("/text", UnavailableError)]
)
async def test_answers_become_the_reflectors_errors(path: str, error: type[Exception], tmp_path: Path) -> None:
    """410 is Gone, every other failure Unavailable, also an answer that is no object."""
    with kube(tmp_path) as api, pytest.raises(error):
        await Listing(api, path).list_page("")


async def test_a_cut_watch_raises_its_own_error_not_a_group(tmp_path: Path) -> None:
    """Events before the cut arrive; the cut is an UnavailableError that the reflector catches by its class."""
    seen: list[Json] = []

    async def follow(api: KubeApi) -> None:
        async with Listing(api, "/cut").watch("1") as events:
            async for event in events:
                seen.append(event)  # noqa: PERF401 - what came before the error counts

    with kube(tmp_path) as api, pytest.raises(UnavailableError):
        await follow(api)
    assert seen == [EVENT]


async def test_an_error_raised_while_reading_keeps_its_class(tmp_path: Path) -> None:
    """What the reader raises inside the watch comes out as it is."""

    async def follow(api: KubeApi) -> None:
        async with Listing(api, "/open").watch("1") as events:
            async for _ in events:
                raise GoneError("410 in an event")

    with kube(tmp_path) as api, pytest.raises(GoneError):
        await follow(api)


async def test_a_watch_that_the_server_ends_ends(tmp_path: Path) -> None:
    """A clean end of the stream ends the iteration."""
    with kube(tmp_path) as api:
        async with Listing(api, "/short").watch("1") as events:
            assert [event async for event in events] == [EVENT]


async def test_leaving_a_watch_ends_its_thread(tmp_path: Path) -> None:
    """Leaving the block while the server is silent returns at once and leaves no thread reading."""
    before = threading.active_count()
    with kube(tmp_path) as api:
        with trio.fail_after(5):
            async with Listing(api, "/open").watch("1") as events:
                async for _ in events:
                    break
    assert threading.active_count() <= before + 1  # trio keeps an idle worker


async def test_a_failure_beside_a_cancellation_is_a_cancellation(tmp_path: Path) -> None:
    """A watch that fails in the moment in which its agent is told to stop does not bring the agent down."""
    with kube(tmp_path) as api:
        for path in ("/broken", "/gone", "/cut"):
            with trio.CancelScope() as scope:
                async with Listing(api, path).watch("1"):
                    scope.cancel()
                    raise UnavailableError("at the same moment")
            assert scope.cancelled_caught or scope.cancel_called
