"""A proxy's life: it listens before it says so, follows snapshots and certificates, drains, and ends."""

import pytest
import trio
from msgspec.structs import replace

from mesh.model.intention import Action
from mesh.model.snapshot import Snapshot
from mesh.proxy.runtime import BoundPorts, Proxy
from mesh.proxy.settings import InboundSettings, ProxySettings, Timeouts, Upstream
from mesh.sync.holder import SnapshotHolder
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics
from tests.fakes.authority import service_uri
from tests.fakes.mesh_world import (
    AUTHORITY,
    App,
    callee,
    caller,
    connect,
    connect_tls,
    hear,
    identity,
    ok,
    say,
)

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"


class Scene:
    """One proxy with what it is made of."""

    def __init__(self, settings: ProxySettings, snapshot: Snapshot, service: str) -> None:
        self.holder = SnapshotHolder(snapshot)
        self.identity = identity(service)
        self.metrics = Metrics()
        self.proxy = Proxy(settings, self.holder, self.identity, self.metrics, AccessLog(None))


def serving(app_port: int, timeouts: Timeouts | None = None) -> Scene:
    settings = ProxySettings(InboundSettings(app_port, address="127.0.0.1", port=0), timeouts=timeouts or Timeouts())
    return Scene(settings, callee(), "api")


async def test_two_proxies_carry_a_request(nursery: trio.Nursery) -> None:
    """The ports it tells are those that it listens on; from application to application all works."""
    app = App(ok)
    await nursery.start(app.serve)
    ports: BoundPorts = await nursery.start(serving(app.port).proxy.run)
    web = Scene(ProxySettings(upstreams=(Upstream("api", 0),)), caller(ports.inbound), "web")
    upstreams: BoundPorts = await nursery.start(web.proxy.run)
    assert upstreams.inbound == 0
    async with await connect(upstreams.upstreams["api"]) as stream:
        await stream.send_all(GET)
        assert (await stream.receive_some()).endswith(b"\r\n\r\nok")


async def test_a_new_snapshot_is_obeyed_at_once(nursery: trio.Nursery) -> None:
    """The request after the replacement is judged by it, on the same connection."""
    app = App(ok)
    await nursery.start(app.serve)
    scene = serving(app.port)
    ports: BoundPorts = await nursery.start(scene.proxy.run)
    tls = await connect_tls(ports.inbound, "web")
    assert (await say(tls, GET)).startswith(b"HTTP/1.1 200 ")
    scene.holder.replace(callee(action=Action.DENY))
    assert (await say(tls, GET)).startswith(b"HTTP/1.1 403 ")
    scene.holder.replace(replace(callee(), intentions=None))
    assert (await say(tls, GET)).startswith(b"HTTP/1.1 403 ")
    tls.close()


async def test_a_new_certificate_is_shown_to_who_comes_next(nursery: trio.Nursery) -> None:
    """After the replacement the listener's certificate is the new one."""
    scene = serving(1)
    ports: BoundPorts = await nursery.start(scene.proxy.run)
    fresh = AUTHORITY.leaf(service_uri("api"))
    scene.identity.replace(fresh)
    tls = await connect_tls(ports.inbound, "web")
    certificate = tls.getpeercert()
    assert certificate is not None
    assert int(str(certificate["serialNumber"]), 16) == int(fresh.serial, 16)
    tls.close()


async def test_draining_ends_the_run_once_nothing_is_under_way(nursery: trio.Nursery) -> None:
    """A request under way is answered first; then `run` returns and nobody listens."""
    app = App(ok)
    await nursery.start(app.serve)
    scene, ended = serving(app.port), trio.Event()

    async def run(task_status: trio.TaskStatus[BoundPorts]) -> None:
        await scene.proxy.run(task_status=task_status)
        ended.set()

    ports: BoundPorts = await nursery.start(run)
    tls = await connect_tls(ports.inbound, "web")
    tls.send(b"POST /a HTTP/1.1\r\nhost: api\r\ncontent-length: 2\r\n\r\n")
    while not app.connections:
        await trio.lowlevel.checkpoint()
    nursery.start_soon(scene.proxy.drain)
    await trio.testing.wait_all_tasks_blocked()
    assert not ended.is_set()
    assert (await say(tls, b"hi")).startswith(b"HTTP/1.1 200 ")
    tls.close()
    await ended.wait()
    with pytest.raises(ConnectionRefusedError):
        await connect(ports.inbound)


async def test_draining_cuts_what_outlasts_it(nursery: trio.Nursery) -> None:
    """Past `drain_s` what is left is cut and `run` returns all the same."""
    app = App(lambda request: None)
    await nursery.start(app.serve)
    scene = serving(app.port, Timeouts(drain_s=0.01))
    ports: BoundPorts = await nursery.start(scene.proxy.run)
    tls = await connect_tls(ports.inbound, "web")
    tls.send(GET)
    while not app.requests:
        await trio.lowlevel.checkpoint()
    await scene.proxy.drain()
    assert await hear(tls) == b""
    tls.close()


async def test_a_taken_port_fails_the_start() -> None:
    """A proxy that cannot listen says so at its start, and leaves nothing behind."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    settings = ProxySettings(InboundSettings(1, address="127.0.0.1", port=port))
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        await Scene(settings, callee(), "api").proxy.run()
    await listeners[0].aclose()
