"""Addresses as settings write them: `host:port`, `[v6]:port`, `unix:/path`."""

import msgspec

UNIX_PREFIX = "unix:"


class InvalidAddressError(ValueError):
    """The setting's text is no address; the message quotes the form expected."""


class HostPort(msgspec.Struct, frozen=True):
    """A host name or literal address (without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str, default_port: int = 0) -> HostPort:
    """Parse `host:port`, `[v6]:port`, or a host alone if there is a default port.

    Raises:
        InvalidAddressError: it is none of these.
    """
    host, port_text = _split(text.strip())
    if not host or any(char.isspace() or char in "/@[]" for char in host):
        raise InvalidAddressError(f"{text[:120]!r} is no address: expected HOST:PORT or [IPV6]:PORT")
    if not port_text and default_port:
        return HostPort(host, default_port)
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and int(port_text) <= 65535):
        raise InvalidAddressError(f"{text[:120]!r} has no port from 0 to 65535: expected HOST:PORT or [IPV6]:PORT")
    return HostPort(host, int(port_text))


def parse_unix(text: str) -> str:
    """The path of `unix:/path`.

    Raises:
        InvalidAddressError: it is no absolute path of at most 107 bytes (the kernel's bound).
    """
    path = text.removeprefix(UNIX_PREFIX)
    if not text.startswith(UNIX_PREFIX) or not path.startswith("/") or len(path.encode()) > 107 or "\0" in path:
        raise InvalidAddressError(
            f"{text[:120]!r} is no Unix socket: expected unix:/absolute/path of at most 107 bytes"
        )
    return path


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            return "", ""
        return host, rest[1:]
    if text.count(":") > 1:
        return "", ""
    host, _, port = text.partition(":")
    return host, port
