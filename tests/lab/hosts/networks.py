"""Networks as test hosts see them: a switch each, with no router, so that two networks cannot reach each other.

It must never give a switch an address or a route: whatever joins two networks is a host with a leg on both.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.namespaces import Ground, ground

_BRIDGE = "br0"


class Network:
    """A switch in a namespace of its own. Hosts get a leg on it with `plug`."""

    def __init__(self, name: str, switch: Ground) -> None:
        self.name = name
        self.switch = switch
        self.bridge = _BRIDGE
        self._ports = 0

    def plug(self, host: Ground, interface: str, address: str, *, gateway: str | None = None) -> str:
        """Give a host an interface on this network, e.g. `plug(vm, "lan0", "10.1.0.2/24")`; returns the switch's port."""
        self._ports += 1
        port = f"{interface[:8]}p{self._ports}"
        peer = ["peer", "name", interface, "netns", str(host.pid)]
        self.switch.run("ip", "link", "add", port, "type", "veth", *peer)
        self.switch.run("ip", "link", "set", port, "master", self.bridge, "up")
        version = ipaddress.ip_interface(address).version
        nodad = ["nodad"] if version == 6 else []
        host.run("ip", "addr", "add", address, "dev", interface, *nodad)
        host.run("ip", "link", "set", interface, "up")
        if gateway:
            host.run("ip", f"-{version}", "route", "add", "default", "via", gateway)
        return port

    def unplug(self, port: str) -> None:
        """Take a port down as a pulled cable does: the host learns nothing but silence."""
        self.switch.run("ip", "link", "set", port, "down")

    def replug(self, port: str) -> None:
        """Put an unplugged port back."""
        self.switch.run("ip", "link", "set", port, "up")


@dataclass(frozen=True)
class Leg:
    """One interface that a host shall have: on which network, under which name and address (with prefix length)."""

    network: Network
    interface: str
    address: str
    gateway: str | None = None

    def plug(self, host: Ground) -> str:
        return self.network.plug(host, self.interface, self.address, gateway=self.gateway)

    @property
    def ip(self) -> str:
        """The address without the prefix length."""
        return self.address.partition("/")[0]


@contextlib.contextmanager
def network(name: str) -> Iterator[Network]:
    """A network for the length of a `with` block."""
    with ground(name) as switch:
        switch.run("ip", "link", "add", _BRIDGE, "type", "bridge")
        switch.run("ip", "link", "set", _BRIDGE, "up")
        yield Network(name, switch)
