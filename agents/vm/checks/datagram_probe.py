"""The UDP probe: one datagram; any answer is a sign of life (Consul: "any response ... any other result is critical")."""

import trio

from agents.vm.definition.values import UdpProbe

_QUESTION = b"linkspan health check"
_READ_BYTES = 2048


class NoAddressError(OSError):
    """The name of the probed side leads nowhere."""


async def datagram(probe: UdpProbe) -> None:
    """Send one and wait for one.

    Raises:
        OSError: it cannot be sent, or the other side says that nobody listens.
    """
    found = await trio.socket.getaddrinfo(probe.host, probe.port, type=trio.socket.SOCK_DGRAM)
    if not found:
        raise NoAddressError(f"{probe.host} has no address")
    family, kind, protocol, _, where = found[0]
    with trio.socket.socket(family, kind, protocol) as sock:
        await sock.connect(where)
        await sock.send(_QUESTION)
        await sock.recv(_READ_BYTES)
