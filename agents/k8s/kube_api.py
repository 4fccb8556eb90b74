"""The Kubernetes client, in the one module that imports it: configuration, authentication and transport, never its models.

Its calls block, so they run in threads with a limiter of their own; watches deliver raw JSON lines over a bounded trio channel,
so a slow consumer slows the server down instead of filling memory.
"""

import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import trio
import urllib3
from kubernetes import client, config

from agents.k8s.reflector import PAGE, GoneError, Json, UnavailableError

WATCH_S = 300
CONNECT_S = 5.0
EVENTS_AHEAD = 256
MAX_LINE_BYTES = 16 * 1024 * 1024


class KubeApi:
    """A connection to one API server: in-cluster, or by a kubeconfig file."""

    def __init__(self, kubeconfig: str = "") -> None:
        """Raises config.ConfigException when there is neither a usable kubeconfig nor a service account."""
        settings = client.Configuration()
        if kubeconfig:
            config.load_kube_config(kubeconfig, client_configuration=settings)  # type: ignore[no-untyped-call]  # has no annotations
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # has no annotations
        settings.retries = False  # the reflector decides when to try again
        self._client = client.ApiClient(settings)
        self._limiter = trio.CapacityLimiter(16)

    def open(self, path: str, query: dict[str, str], read_timeout_s: float) -> urllib3.BaseHTTPResponse:
        """One GET whose answer is still to be read. Blocks: for threads.

        Raises:
            GoneError: 410.
            UnavailableError: anything else that is not 200.
        """
        try:
            answer: urllib3.BaseHTTPResponse = self._client.call_api(
                "GET",
                f"{self._client.configuration.host}{path}?{urlencode(query)}",
                header_params=self._headers(),
                _request_timeout=(CONNECT_S, read_timeout_s),
            ).response
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"GET {path}: {error}") from error
        if answer.status == 200:
            return answer
        answer.close()
        if answer.status == 410:
            raise GoneError(f"GET {path}: 410 {answer.reason}")
        raise UnavailableError(f"GET {path}: {answer.status} {answer.reason}")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        # The client's hook reads the projected token again when it was renewed.
        token = self._client.configuration.get_api_key_with_prefix("BearerToken", "authorization")
        return headers | ({"Authorization": token} if token else {})

    async def get(self, path: str, query: dict[str, str]) -> Json:
        """One JSON answer. Raises as `open` does."""

        def call() -> Json:
            answer = self.open(path, query, 30.0)
            try:
                body: Any = json.loads(answer.read())
            except (ValueError, urllib3.exceptions.HTTPError) as error:
                raise UnavailableError(f"GET {path}: {error}") from error
            finally:
                answer.release_conn()
            if not isinstance(body, dict):
                raise UnavailableError(f"GET {path}: the answer is no object")
            return body

        return await trio.to_thread.run_sync(call, limiter=self._limiter, abandon_on_cancel=True)


class Listing:
    """A `Source` for the reflector: one collection, narrowed by selectors."""

    def __init__(self, api: KubeApi, path: str, *, field_selector: str = "", label_selector: str = "") -> None:
        self._api = api
        self._path = path
        chosen = {"fieldSelector": field_selector, "labelSelector": label_selector}
        self._selectors = {name: value for name, value in chosen.items() if value}

    async def list_page(self, continue_token: str) -> Json:
        query = {"limit": str(PAGE), **self._selectors} | ({"continue": continue_token} if continue_token else {})
        return await self._api.get(self._path, query)

    @asynccontextmanager
    async def watch(self, resource_version: str) -> AsyncIterator[AsyncIterator[Json]]:
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
        }
        stream = _Stream(self._api, self._path, query | self._selectors)
        try:
            async with trio.open_nursery() as nursery:
                send, receive = trio.open_memory_channel[Json | Exception](EVENTS_AHEAD)
                nursery.start_soon(stream.pump, send)
                try:
                    async with aclosing(_events(receive)) as events:
                        yield events
                finally:
                    stream.stop()
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # A failed watch is the reader's, who catches it by its class. Beside a cancellation it matters to nobody any more,
            # and anything else is a bug: those go on as they are.
            failed, rest = group.split((GoneError, UnavailableError))
            if rest is not None:
                raise rest from None
            assert failed is not None
            raise failed.exceptions[0] from None


async def _events(receive: trio.MemoryReceiveChannel[Json | Exception]) -> AsyncGenerator[Json, None]:
    async with receive:
        async for event in receive:
            if isinstance(event, Exception):
                raise event
            yield event


class _Stream:
    """The thread that reads one watch. `stop` may be called from the trio side at any time and ends it promptly."""

    def __init__(self, api: KubeApi, path: str, query: dict[str, str]) -> None:
        self._api = api
        self._path = path
        self._query = query
        self._lock = threading.Lock()
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._stopped = False

    async def pump(self, send: trio.MemorySendChannel[Json | Exception]) -> None:
        async with send:
            try:
                await trio.to_thread.run_sync(self._read, send, abandon_on_cancel=True)
            except (GoneError, UnavailableError) as error:
                await send.send(error)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._answer is not None:
                self._answer.shutdown()  # wakes the thread out of its read

    def _read(self, send: trio.MemorySendChannel[Json | Exception]) -> None:
        answer = self._api.open(self._path, self._query, WATCH_S + 30.0)
        with self._lock:
            if self._stopped:
                answer.close()
                return
            self._answer = answer
        try:
            self._deliver(answer, send)
        except (urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            if not self._stopped:
                raise UnavailableError(f"watch {self._path}: {error}") from error
        except (trio.RunFinishedError, trio.Cancelled, trio.BrokenResourceError, trio.ClosedResourceError):
            return  # nobody listens any more
        finally:
            with self._lock:
                self._answer = None
            answer.close()

    def _deliver(self, answer: urllib3.BaseHTTPResponse, send: trio.MemorySendChannel[Json | Exception]) -> None:
        rest = b""
        for chunk in answer.stream(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise ValueError(f"an event of over {MAX_LINE_BYTES} bytes")
            for line in lines:
                if line:
                    trio.from_thread.run(send.send, json.loads(line))
