"""A leaf certificate with its key, as a value.

It must never be printed or logged whole: `repr` leaves the key out.
"""

import msgspec

from mesh.wire.sync import LeafResponse


class Leaf(msgspec.Struct, frozen=True):
    """One certificate of this process: the chain in PEM (leaf first), its key in PEM (PKCS #8), and its life.

    `serial` is hexadecimal; `not_before_s` and `not_after_s` are seconds since the epoch.
    """

    certificate_pem: str
    key_pem: bytes
    uri: str
    serial: str
    not_before_s: float
    not_after_s: float

    def __repr__(self) -> str:
        return f"Leaf(uri={self.uri!r}, serial={self.serial!r}, not_after_s={self.not_after_s!r})"


def make_leaf(response: LeafResponse, key_pem: bytes) -> Leaf:
    """The leaf that the authority issued for the key made beside its request."""
    return Leaf(
        certificate_pem=response.certificate_pem,
        key_pem=key_pem,
        uri=response.uri,
        serial=response.serial,
        not_before_s=response.not_before_s,
        not_after_s=response.not_after_s,
    )


def normal_serial(serial: str) -> str:
    """One spelling for a serial number: lower-case hexadecimal without colons and leading zeros.

    OpenSSL prints `0A1B`, Consul prints `0a:1b`; both name the same certificate.
    """
    return serial.replace(":", "").lower().lstrip("0") or "0"
