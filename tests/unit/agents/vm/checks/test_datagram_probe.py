"""UDP checks against real sockets: an answer passes, silence and refusal are critical."""

import socket

import pytest
import trio

from agents.vm.checks.datagram_probe import NoAddressError, datagram
from agents.vm.checks.probe import EdgeProber
from agents.vm.definition.values import UdpProbe
from mesh.model.endpoint import Health


async def test_an_answer_passes(nursery: trio.Nursery) -> None:
    """Whatever it says."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    await sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]

    async def echo() -> None:
        with sock:
            _, where = await sock.recvfrom(2048)
            await sock.sendto(b"", where)

    nursery.start_soon(echo)
    result = await EdgeProber().run(UdpProbe("127.0.0.1", port, 10, 5), 99)
    assert (result.status, result.output) == (Health.PASSING, f"UDP connect 127.0.0.1:{port}: Success")


async def test_silence_and_refusal_are_critical() -> None:
    """A socket that does not answer, and none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        late = await EdgeProber().run(UdpProbe("127.0.0.1", port, 10, 0.05), 99)
        assert (late.status, late.output) == (Health.CRITICAL, "timed out after 50ms")
    gone = await EdgeProber().run(UdpProbe("127.0.0.1", port, 10, 5), 99)
    assert (gone.status, "refused" in gone.output) == (Health.CRITICAL, True)


async def test_a_name_without_address() -> None:
    """Names are looked up at each run."""

    class Nowhere(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            await trio.lowlevel.checkpoint()
            return []

        async def getnameinfo(self, *_: object) -> tuple[str, str]:
            await trio.lowlevel.checkpoint()
            return ("", "")

    trio.socket.set_custom_hostname_resolver(Nowhere())
    try:
        with pytest.raises(NoAddressError):
            await datagram(UdpProbe("nowhere.example", 53, 10, 5))
    finally:
        trio.socket.set_custom_hostname_resolver(None)
