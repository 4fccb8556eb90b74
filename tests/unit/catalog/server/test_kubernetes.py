"""The calls to a Kubernetes API server, against a small one that keeps what it was told."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from catalog.api.http.answer import json_answer
from catalog.api.http.endpoint import send_answer
from catalog.api.http.serve import Listener, Server, listen
from catalog.api.token_review import ReviewUnavailableError
from catalog.server.kubernetes import (
    REFUSED_FOR_S,
    REFUSED_KEPT,
    REVIEWS_AT_ONCE,
    REVIEWS_WAITING,
    KubernetesApi,
    PublishError,
)
from catalog.server.settings import KubernetesAccess
from mesh.identity.context import server_context
from tests.fakes.authority import Authority, server_uri

TOKEN = "a.b.c"


class FakeCluster:
    """An API server: knows one ConfigMap and answers reviews; `status` makes it refuse."""

    def __init__(self) -> None:
        self.config_maps: dict[str, dict[str, str]] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.status = 0
        self.known = True
        self.body = b"{}"
        self.hold: trio.Event | None = None
        self.at_once = self.most_at_once = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        body = msgspec.json.decode((await receive())["body"])
        self.requests.append((scope["method"], scope["path"], headers[b"authorization"].decode()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.hold is not None:
            await self.hold.wait()
        self.at_once -= 1
        status, shown = self._answer(scope["method"], scope["path"], body)
        await send_answer(json_answer(shown, status=status), (), send)

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if self.status:
            return self.status, {"message": "not today"}
        if path.endswith("tokenreviews"):
            return 201, {"status": {"authenticated": self.known, "audiences": body["spec"]["audiences"]}}
        if method == "PATCH":
            name = path.rpartition("/")[2]
            if name not in self.config_maps:
                return 404, {"message": "not found"}
            self.config_maps[name] |= body["data"]
            return 200, {}
        self.config_maps[body["metadata"]["name"]] = body["data"]
        return 201, {}


@asynccontextmanager
async def cluster(tmp_path: Path) -> AsyncIterator[tuple[FakeCluster, KubernetesApi]]:
    """A fake API server with TLS, and our client of it."""
    authority = Authority()
    leaf = authority.leaf(server_uri(), dns_names=("localhost",))
    context: ssl.SSLContext = server_context(leaf, authority.roots(), ("http/1.1",), client_required=False)
    (tmp_path / "ca.crt").write_text(authority.root_pem)
    (tmp_path / "token").write_text("ours\n")
    fake, stop = FakeCluster(), trio.Event()
    listener = Listener(listen("127.0.0.1:0"), lambda: context)
    url = f"https://localhost:{listener.address.rpartition(':')[2]}"
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(Server(fake, [listener]).run, stop))
        async with KubernetesApi(KubernetesAccess(url, tmp_path / "ca.crt", tmp_path / "token")) as api:
            yield fake, api
        stop.set()
        nursery.cancel_scope.cancel()


async def test_a_token_is_reviewed_for_its_audience(tmp_path: Path) -> None:
    """With our own token, read anew for each call, since the kubelet rotates it."""
    async with cluster(tmp_path) as (fake, api):
        review = await api.review(TOKEN, "linkspan")
        assert review["status"] == {"authenticated": True, "audiences": ["linkspan"]}
        (tmp_path / "token").write_text("rotated")
        await api.review(TOKEN, "linkspan")
        assert [request[2] for request in fake.requests] == ["Bearer ours", "Bearer rotated"]


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c.d", "a." + "b" * 20_000 + ".c", "é.b.c"])
async def test_what_is_no_token_is_not_asked_about(tmp_path: Path, token: str) -> None:
    async with cluster(tmp_path) as (fake, api):
        assert await api.review(token, "linkspan") == {"status": {"authenticated": False}}
        assert fake.requests == []


async def test_what_the_cluster_does_not_know_is_not_asked_again_at_once(tmp_path: Path) -> None:
    """A flood of one false token costs the cluster no more than one review each ten seconds; others are not held up."""
    async with cluster(tmp_path) as (fake, api):
        fake.known = False
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(api.review, TOKEN, "linkspan")
        assert len(fake.requests) <= REVIEWS_AT_ONCE
        asked = len(fake.requests)
        assert (await api.review(TOKEN, "linkspan"))["status"] == {"authenticated": False}
        assert len(fake.requests) == asked
        fake.known = True
        assert (await api.review("d.e.f", "linkspan"))["status"]["authenticated"]
        assert (await api.review(TOKEN, "other"))["status"]["authenticated"]


async def test_a_refused_token_is_asked_about_again_in_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """And no more than so many are remembered, the newest."""
    del autojump_clock
    (tmp_path / "ca.crt").write_text(Authority().root_pem)
    async with KubernetesApi(KubernetesAccess("https://x", tmp_path / "ca.crt", tmp_path / "token")) as api:
        for number in range(REFUSED_KEPT + 1):
            api._refuse(b"%d" % number)
        assert (api._is_refused(b"0"), api._is_refused(b"1")) == (False, True)
        await trio.sleep(REFUSED_FOR_S)
        assert not api._is_refused(b"1")
        api._refuse(b"new")
        assert api._refused.keys() == {b"new"}


async def test_a_cluster_that_refuses_is_said_to(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (fake, api):
        fake.status = 403
        with pytest.raises(ReviewUnavailableError, match="403 not today"):
            await api.review(TOKEN, "linkspan")
        with pytest.raises(PublishError, match="403 not today"):
            await api.publish_roots("mesh/roots", "pem")


async def test_a_cluster_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ours")
    (tmp_path / "ca.crt").write_text(Authority().root_pem)
    access = KubernetesAccess("https://127.0.0.1:1", tmp_path / "ca.crt", tmp_path / "token")
    async with KubernetesApi(access) as api:
        with pytest.raises(ReviewUnavailableError, match="cannot be asked"):
            await api.review(TOKEN, "linkspan")
        with pytest.raises(PublishError, match="cannot be reached"):
            await api.publish_roots("mesh/roots", "pem")
        (tmp_path / "token").unlink()
        with pytest.raises(ReviewUnavailableError, match="token"):
            await api.review(TOKEN, "linkspan")


async def test_reviews_are_bounded(tmp_path: Path) -> None:
    """Whoever reaches the join endpoint can ask for one: so many at once, so many waiting, the rest is told to come back."""
    async with cluster(tmp_path) as (fake, api):
        fake.hold = trio.Event()
        refused: list[str] = []
        done: list[bool] = []

        async def ask() -> None:
            try:
                await api.review(TOKEN, "linkspan")
                done.append(True)
            except ReviewUnavailableError as error:
                refused.append(str(error))

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for _ in range(REVIEWS_WAITING + 5):
                    nursery.start_soon(ask)
                while fake.at_once < REVIEWS_AT_ONCE:  # noqa: ASYNC110 - what the fake counts is no event
                    await trio.sleep(0.01)
                assert len(refused) == 5
                fake.hold.set()
        assert len(done) == REVIEWS_WAITING
        assert fake.most_at_once == REVIEWS_AT_ONCE


async def test_the_trust_bundle_is_made_and_then_kept(tmp_path: Path) -> None:
    async with cluster(tmp_path) as (fake, api):
        await api.publish_roots("mesh/mesh-roots", "one")
        assert fake.config_maps == {"mesh-roots": {"roots.pem": "one"}}
        await api.publish_roots("mesh/mesh-roots", "two")
        assert fake.config_maps == {"mesh-roots": {"roots.pem": "two"}}
        assert [request[:2] for request in fake.requests] == [
            ("PATCH", "/api/v1/namespaces/mesh/configmaps/mesh-roots"),
            ("POST", "/api/v1/namespaces/mesh/configmaps"),
            ("PATCH", "/api/v1/namespaces/mesh/configmaps/mesh-roots"),
        ]
