"""Kinds that hold an API gateway's certificates: inline-certificate and file-system-certificate.

A private key is read here and judged. It must never stand in an error's text or in a log; who gets to see it is the
API's matter (`shown_to_anyone`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from catalog.compile.entries.connection import refuse
from catalog.compile.entries.reader import EntryHead

_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType({"Partition": ("default",), "Namespace": ("default",)})
MIN_RSA_BITS = 2048
HIDDEN = "<hidden>"


class InlineCertificate(EntryHead, frozen=True, tag_field="Kind", tag="inline-certificate"):
    """A certificate and its private key, both PEM."""

    certificate: str = ""
    private_key: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Certificate",)

    def __repr__(self) -> str:
        return f"InlineCertificate(name={self.name!r})"


class FileSystemCertificate(EntryHead, frozen=True, tag_field="Kind", tag="file-system-certificate"):
    """Where a certificate and its private key lie, on the gateway's host."""

    certificate: str = ""
    private_key: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Certificate",)


def check_inline(entry: InlineCertificate) -> InlineCertificate:
    """A certificate that can be read, with the key that belongs to it.

    Raises:
        ConfigEntryError: status 500; never with a word of the key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(entry.certificate.encode())
        key = load_pem_private_key(entry.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise refuse("Certificate and PrivateKey must be PEM, the key without a password") from None
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise refuse(f"PrivateKey: an RSA key must have at least {MIN_RSA_BITS} bits")
    try:
        pair = [
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            for public in (certificate.public_key(), key.public_key())
        ]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise refuse("Certificate: its key is of a kind that cannot be used") from None
    if pair[0] != pair[1]:
        raise refuse("PrivateKey is not the key of Certificate")
    return entry


def check_files(entry: FileSystemCertificate) -> FileSystemCertificate:
    """Both paths are there."""
    if not entry.certificate:
        raise refuse("Certificate must name a file")
    if not entry.private_key:
        raise refuse("PrivateKey must name a file")
    return entry


def shown_to_anyone(body: Mapping[str, Any]) -> dict[str, Any]:
    """An entry's body for a reader who may not write it: an inline private key is hidden."""
    if body.get("Kind") == "inline-certificate" and body.get("PrivateKey"):
        return {**body, "PrivateKey": HIDDEN}
    return dict(body)
