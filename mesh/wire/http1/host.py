"""Which names a loopback port answers to, against DNS rebinding: a web page whose name an attacker makes lead to 127.0.0.1.

A browser sends the page's own name as `Host` then, so a port that answers only to loopback's names is out of its reach.
Pure; a missing or odd Host is refused. It must never be asked about a port that others may reach: their names are theirs.
"""

import re
from collections.abc import Iterable

import msgspec

_LOOPBACK = re.compile(rb"(?:127(?:\.[0-9]{1,3}){3}|\[::1\]|localhost\.?)(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_HOST = re.compile(rb"([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_SHOWN = 80


class InvalidHostError(ValueError):
    """The operator's fault: what is to be allowed is no host name or address."""


class HostRule(msgspec.Struct, frozen=True):
    """Loopback addresses and `localhost`, with any port, and the names in `allowed` (lower case, without port)."""

    allowed: frozenset[bytes] = frozenset()

    def allows(self, host: bytes) -> bool:
        """Whether a Host header's value (RFC 9110 7.2) is one of ours."""
        if _LOOPBACK.fullmatch(host):
            return True
        found = _HOST.fullmatch(host) if self.allowed else None
        return found is not None and _normal(found[1]) in self.allowed

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Why a request with these headers (names in lower case) is refused, with the way to allow it; empty: it is not."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) == 1 and self.allows(hosts[0]):
            return ""
        if len(hosts) != 1:
            return f"this port wants exactly one Host header, not {len(hosts)}: call it as 127.0.0.1 or localhost"
        shown = hosts[0][:_SHOWN].decode("ascii", "replace")
        name = _HOST.fullmatch(hosts[0])
        allow = f", or allow that name with --allowed-host {name[1].decode()}" if name else ""
        return f"Host {shown!r} is not a name that this port answers to: call it as 127.0.0.1 or localhost{allow}"


def host_rule(names: Iterable[str]) -> HostRule:
    """The rule that also allows `names`: host names or IP addresses, without port.

    Raises:
        InvalidHostError: one of them is none.
    """
    allowed = set()
    for name in names:
        text = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name
        found = _HOST.fullmatch(text.encode("ascii", "replace"))
        if found is None or len(found[0]) != len(found[1]):
            raise InvalidHostError(
                f"allowed host {name[:_SHOWN]!r} must be a host name or an IP address, without a port"
            )
        allowed.add(_normal(found[1]))
    return HostRule(frozenset(allowed))


def _normal(name: bytes) -> bytes:
    return name.lower().removesuffix(b".")
