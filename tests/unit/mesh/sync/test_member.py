"""Becoming and staying a member: through an agent's socket, and straight to the catalog over TLS on loopback."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from mesh.identity.context import server_context
from mesh.identity.keep import LeafStore
from mesh.model.identity import Kind
from mesh.model.intention import IntentionSet
from mesh.model.snapshot import MeshSettings, Roots, Snapshot
from mesh.sync.client import SyncClient
from mesh.sync.follow import ProxyPlan
from mesh.sync.follower import Follower
from mesh.sync.holder import SnapshotHolder
from mesh.sync.leaf import Clock
from mesh.sync.link.address import HostPort
from mesh.sync.member import (
    JoinFileError,
    Member,
    Source,
    Who,
    keep_trust,
    read_small_file,
    roots_among,
    run_follower,
    run_member,
)
from mesh.wire.sync import JOIN_PATH, JoinRequest, JoinResponse, Resource
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, server_uri, service_uri
from tests.fakes.catalog import FakeCatalog, response_of
from tests.fakes.http_peer import Asked, MemoryDialler, serve_http
from tests.fakes.keys import make_key

AUTHORITY = Authority()
PLAN = ProxyPlan("web", "vm")
WHO = Who(Kind.SERVICE, "web")
CLOCK = Clock(make_key=make_key)


def full_catalog() -> FakeCatalog:
    """A catalog with all that a proxy without upstreams needs."""
    catalog = FakeCatalog(AUTHORITY)
    catalog.put("roots", AUTHORITY.roots())
    catalog.put("mesh", MeshSettings(DATACENTER, TRUST_DOMAIN))
    catalog.put("intentions/web", IntentionSet("web", 1))
    return catalog


def new_holder() -> SnapshotHolder:
    """A holder as a process begins with it."""
    return SnapshotHolder(Snapshot(PLAN.local))


@contextlib.asynccontextmanager
async def agent(path: Path, catalog: FakeCatalog) -> AsyncIterator[None]:
    """Serve `catalog` on a Unix socket, as an agent does."""

    async def handle(stream: trio.SocketStream) -> None:
        await serve_http(stream, catalog)

    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(str(path))
    sock.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [trio.SocketListener(sock)])
        yield
        nursery.cancel_scope.cancel()
    await trio.Path(path).unlink()


@contextlib.asynccontextmanager
async def membership(source: Source, holder: SnapshotHolder) -> AsyncIterator[Member]:
    """A running member."""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            member: Member = await nursery.start(run_member, source, WHO, PLAN, holder, CLOCK)
            yield member
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()


async def test_through_an_agent_and_again_without_it(tmp_path: Path):
    """The first start gets snapshot and leaf from the agent; the second has both although nobody answers."""
    path = tmp_path / "agent.sock"
    source = Source(str(tmp_path / "state"), "vm", agent=str(path))
    catalog = full_catalog()
    async with agent(path, catalog):
        holder = new_holder()
        async with membership(source, holder) as member:
            assert member.identity.leaf.uri == service_uri("web")
            assert holder.current.intentions == IntentionSet("web", 1)
            leaf = member.identity.leaf
            catalog.put("roots", AUTHORITY.roots(revoked_serials=("ab",)))
            await member.identity.wait_newer(1)  # a new trust bundle is used at once
            assert member.identity.roots.revoked_serials == ("ab",)
    holder = new_holder()
    async with membership(source, holder) as member:
        assert member.identity.leaf == leaf
        assert holder.current.intentions == IntentionSet("web", 1)
        assert member.follower.missing == ()


async def test_the_agent_may_come_later(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A process that starts before its agent waits for it, and says so."""
    path = tmp_path / "agent.sock"
    catalog = full_catalog()
    catalog.leaf_status = 403
    async with trio.open_nursery() as nursery:

        async def come() -> None:
            await trio.sleep(0.15)
            async with agent(path, catalog):
                with trio.fail_after(10):
                    while "no certificate for" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                        await trio.sleep(0.01)
                catalog.leaf_status = 200
                await done.wait()

        done = trio.Event()
        nursery.start_soon(come)
        async with membership(Source(str(tmp_path / "state"), "vm", agent=str(path)), new_holder()) as member:
            assert member.identity.spiffe_id.name == "web"
        done.set()
    assert "No such file" in caplog.text
    assert "no certificate for" in caplog.text


async def test_a_follower_needs_no_certificate(tmp_path: Path):
    """A gateway beside an agent follows without asking for a leaf."""
    path = tmp_path / "agent.sock"
    catalog = full_catalog()
    holder = new_holder()
    async with agent(path, catalog), trio.open_nursery() as nursery:
        follows = await nursery.start(
            run_follower, Source(str(tmp_path / "state"), "vm", agent=str(path)), WHO, PLAN, holder
        )
        await holder.wait_newer(1)
        assert follows.follower.index == catalog.index
        assert catalog.leafs == 0
        nursery.cancel_scope.cancel()


class MeshPort:
    """A catalog's mesh port over TLS: joins with a service-account token, then sync by certificate."""

    def __init__(self) -> None:
        self.catalog = full_catalog()
        self.tokens: list[str] = []
        self.good_token = "sa-2"

    async def start(self, nursery: trio.Nursery) -> HostPort:
        """Listen on loopback."""
        context = server_context(AUTHORITY.leaf(server_uri()), AUTHORITY.roots(), (), client_required=False)

        async def handle(stream: trio.SocketStream) -> None:
            tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            try:
                await tls.do_handshake()
                self._has_certificate = bool(tls.getpeercert())
                await serve_http(tls, self._answer)
            except trio.BrokenResourceError:
                await trio.aclose_forcefully(tls)

        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        return HostPort("127.0.0.1", listeners[0].socket.getsockname()[1])

    async def _answer(self, asked: Asked) -> tuple[int, bytes]:
        if asked.target != JOIN_PATH:
            return await self.catalog(asked)
        request = msgspec.json.decode(asked.body, type=JoinRequest)
        assert request.method == "kubernetes"
        self.tokens.append(request.token)
        await trio.lowlevel.checkpoint()
        if request.token != self.good_token:
            return 403, b"Permission denied: the pod is not known yet"
        leaf = response_of(AUTHORITY.sign(request.csr_pem))
        return 200, msgspec.json.encode(JoinResponse(leaf, (AUTHORITY.root_pem,), DATACENTER, TRUST_DOMAIN))


async def test_straight_to_the_catalog_with_a_fresh_token_at_each_try(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
):
    """A refused join is tried again with the token file as it is then; afterwards the certificate speaks, also after a restart."""
    port = MeshPort()
    address = await port.start(nursery)
    (tmp_path / "ca.pem").write_text(AUTHORITY.root_pem)
    token = tmp_path / "token"
    token.write_text("sa-1\n")
    source = Source(str(tmp_path / "state"), "k8s", "", (address,), str(tmp_path / "ca.pem"), str(token))

    async def rotate() -> None:
        await trio.sleep(0.05)
        token.write_text("sa-2\n")

    nursery.start_soon(rotate)
    holder = new_holder()
    async with membership(source, holder) as member:
        assert member.identity.leaf.uri == service_uri("web")
        await holder.wait_newer(1)
        assert holder.current.intentions == IntentionSet("web", 1)
        leaf = member.identity.leaf
    assert port.tokens[0] == "sa-1"
    assert port.tokens[-1] == "sa-2"
    assert "not known yet" in caplog.text
    joins = len(port.tokens)
    async with membership(source, new_holder()) as member:
        assert member.identity.leaf == leaf
    assert len(port.tokens) == joins
    nursery.cancel_scope.cancel()


def test_files_are_read_small_and_named(tmp_path: Path):
    """A missing or empty file is named."""
    with pytest.raises(JoinFileError, match=r"cannot read the token file .*absent: No such file"):
        read_small_file(str(tmp_path / "absent"), "token file")
    (tmp_path / "empty").touch()
    with pytest.raises(JoinFileError, match="is empty"):
        read_small_file(str(tmp_path / "empty"), "token file")


def test_roots_among_kept_resources():
    """Only a usable bundle counts."""
    good = Resource("roots", "v", msgspec.Raw(msgspec.json.encode(Roots("t", 1))))
    assert roots_among((Resource("mesh", "v", msgspec.Raw(b"{}")), good)) == Roots("t", 1)
    assert roots_among((Resource("roots", "v", msgspec.Raw(b"{}")),)) is None
    assert roots_among(()) is None


@pytest.mark.parametrize("kept", ["other", "lapsed"])
async def test_a_kept_leaf_that_is_not_ours_or_lapsed_is_not_used(tmp_path: Path, kept: str):
    """What is on disk is judged before it is used."""
    path = tmp_path / "agent.sock"
    old = (
        AUTHORITY.leaf(service_uri("api"))
        if kept == "other"
        else AUTHORITY.leaf(service_uri("web"), begin_s=-100, life_s=-10)
    )
    LeafStore(tmp_path / "state" / "identity").save(old)
    async with (
        agent(path, full_catalog()),
        membership(Source(str(tmp_path / "state"), "vm", agent=str(path)), new_holder()) as member,
    ):
        assert member.identity.leaf.serial != old.serial
        assert member.identity.spiffe_id.name == "web"


async def test_an_unusable_bundle_leaves_the_last_good_one(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture):
    """Roots that cannot be read do not blind a running process."""
    from mesh.identity.live import LiveIdentity

    holder = new_holder()
    follower = Follower(SyncClient([MemoryDialler(nursery, full_catalog())]), PLAN, holder)
    identity = LiveIdentity(AUTHORITY.leaf(service_uri("web")), AUTHORITY.roots())
    keep_trust(follower, identity)
    holder.replace(msgspec.structs.replace(holder.current, roots=Roots(TRUST_DOMAIN, 2)))
    assert identity.roots == AUTHORITY.roots()
    assert "the new trust bundle is not used" in caplog.text
    await trio.lowlevel.checkpoint()
