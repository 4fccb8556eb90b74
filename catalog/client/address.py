"""Where a catalog is: the forms of `CONSUL_HTTP_ADDR` and `--http-addr`.

Pure text to value: `host`, `host:port`, `[::1]:port`, `http://...`, `https://...`, `unix:///path`. It must never
guess a scheme from a port.
"""

from urllib.parse import urlsplit

import msgspec

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8500


class InvalidAddressError(ValueError):
    """The user's text is no address of a catalog; the message lists the forms."""


class Address(msgspec.Struct, frozen=True):
    """One catalog. With `socket_path` the host and port only fill the Host header."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    scheme: str = "http"
    socket_path: str = ""


def parse_address(text: str) -> Address:
    """The address that a text names.

    Raises:
        InvalidAddressError: it is none of the forms.
    """
    forms = "write host:port, http://host:port, https://host:port or unix:///path/to/socket"
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not path.startswith("/"):
            raise InvalidAddressError(f"address {text!r}: the socket's path must be absolute; {forms}")
        return Address(host="localhost", socket_path=path)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    if scheme not in {"http", "https"}:
        raise InvalidAddressError(f"address {text!r}: unknown scheme {scheme!r}; {forms}")
    try:
        parts = urlsplit(f"//{rest}")
        port = parts.port
    except ValueError as error:
        raise InvalidAddressError(f"address {text!r}: {error}; {forms}") from error
    if not parts.hostname or parts.username or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InvalidAddressError(f"address {text!r}: {forms}")
    default = 443 if scheme == "https" and separator else DEFAULT_PORT
    return Address(parts.hostname, port or (DEFAULT_PORT if scheme == "http" else default), scheme)
