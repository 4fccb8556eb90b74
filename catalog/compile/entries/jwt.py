"""The kind jwt-provider: who issues JSON Web Tokens, and where a request carries one.

It is kept, shown and judged. Proxies of this version check no tokens: what asks for one is denied
(`catalog.compile.intentions`), never let through.
"""

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from catalog.compile.entries.connection import check_choice, check_not_negative, refuse
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.reader import EntryHead, EntryValue

_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType({"Partition": ("default",), "Namespace": ("default",)})
DEFAULT_CLOCK_SKEW_S = 30
DISCOVERY_TYPES = frozenset({"", "STRICT_DNS", "STATIC", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"})


class LocalKeys(EntryValue, frozen=True):
    """Keys that are at hand: base64 of a JSON Web Key Set, or a file."""

    jwks: str = msgspec.field(name="JWKS", default="")
    filename: str = ""


class RetryBackOff(EntryValue, frozen=True):
    """How long to wait between two attempts."""

    base_interval: Duration | None = None
    max_interval: Duration | None = None


class KeysRetryPolicy(EntryValue, frozen=True):
    """How often keys are asked for again."""

    num_retries: int = 0
    retry_policy_back_off: RetryBackOff | None = None


class CaCertificateInstance(EntryValue, frozen=True):
    """A named authority of the proxy."""

    instance_name: str = ""
    certificate_name: str = ""


class TrustedCa(EntryValue, frozen=True):
    """An authority, from one of four places."""

    filename: str = ""
    environment_variable: str = ""
    inline_string: str = ""
    inline_bytes: str = ""


class KeysTls(EntryValue, frozen=True):
    """Whom to trust when keys are asked for."""

    ca_certificate_provider_instance: CaCertificateInstance | None = None
    trusted_ca: TrustedCa | None = msgspec.field(name="TrustedCA", default=None)


class KeysCluster(EntryValue, frozen=True):
    """How the keys' server is reached."""

    discovery_type: str = ""
    connect_timeout: Duration | None = None
    tls_certificates: KeysTls | None = msgspec.field(name="TLSCertificates", default=None)


class RemoteKeys(EntryValue, frozen=True):
    """Keys that a server gives."""

    uri: str = msgspec.field(name="URI", default="")
    request_timeout_ms: int = 0
    cache_duration: Duration | None = None
    fetch_asynchronously: bool = False
    use_sni: bool = msgspec.field(name="UseSNI", default=False)
    retry_policy: KeysRetryPolicy | None = None
    jwks_cluster: KeysCluster | None = msgspec.field(name="JWKSCluster", default=None)


class KeySet(EntryValue, frozen=True):
    """Where the keys are: one of both."""

    local: LocalKeys | None = None
    remote: RemoteKeys | None = None


class HeaderPlace(EntryValue, frozen=True):
    """A header that carries a token."""

    name: str = ""
    value_prefix: str = ""
    forward: bool = False


class NamedPlace(EntryValue, frozen=True):
    """A query parameter or a cookie that carries a token."""

    name: str = ""


class TokenPlace(EntryValue, frozen=True):
    """Where a token may stand: one of the three."""

    header: HeaderPlace | None = None
    query_param: NamedPlace | None = None
    cookie: NamedPlace | None = None


class Forwarding(EntryValue, frozen=True):
    """The header that carries a checked token's content on."""

    header_name: str = ""
    pad_forward_payload_header: bool = False


class TokenCache(EntryValue, frozen=True):
    """How many checked tokens are remembered."""

    size: int = 0


class JwtProvider(EntryHead, frozen=True, tag_field="Kind", tag="jwt-provider"):
    """Who issues tokens, and what of them is asked."""

    json_web_key_set: KeySet | None = msgspec.field(name="JSONWebKeySet", default=None)
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    locations: tuple[TokenPlace, ...] = ()
    forwarding: Forwarding | None = None
    clock_skew_seconds: int = 0
    cache_config: TokenCache | None = None

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("JSONWebKeySet",)


def check_provider(entry: JwtProvider) -> JwtProvider:
    """Keys from one place, each location one thing; the clock's skew is 30 s unless it is said."""
    keys = entry.json_web_key_set
    if keys is None or (keys.local is None) == (keys.remote is None):
        raise refuse("must specify exactly one of Local or Remote JSON Web key set")
    if keys.local is not None:
        _check_local(keys.local)
    if keys.remote is not None:
        _check_remote(keys.remote)
    for i, place in enumerate(entry.locations):
        _check_place(place, f"Locations[{i}]")
    if entry.forwarding is not None and not entry.forwarding.header_name:
        raise refuse("Forwarding.HeaderName is missing")
    check_not_negative(entry.clock_skew_seconds, "ClockSkewSeconds")
    check_not_negative(entry.cache_config.size if entry.cache_config is not None else 0, "CacheConfig.Size")
    return msgspec.structs.replace(entry, clock_skew_seconds=entry.clock_skew_seconds or DEFAULT_CLOCK_SKEW_S)


def _check_local(keys: LocalKeys) -> None:
    at = "JSONWebKeySet.Local"
    if bool(keys.jwks) == bool(keys.filename):
        raise refuse(f"{at} must set exactly one of JWKS and Filename")
    if keys.jwks:
        try:
            found = msgspec.json.decode(base64.b64decode(keys.jwks, validate=True))
        except (binascii.Error, ValueError, RecursionError):
            raise refuse(f"{at}.JWKS must be base64 of a JSON Web Key Set") from None
        if not isinstance(found, dict):
            raise refuse(f"{at}.JWKS must be base64 of a JSON Web Key Set")


def _check_remote(keys: RemoteKeys) -> None:
    at = "JSONWebKeySet.Remote"
    try:
        uri = urlsplit(keys.uri)
        usable = uri.scheme in {"http", "https"} and bool(uri.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise refuse(f"{at}.URI must be an http or https URI")
    check_not_negative(keys.request_timeout_ms, f"{at}.RequestTimeoutMs")
    if keys.retry_policy is not None:
        check_not_negative(keys.retry_policy.num_retries, f"{at}.RetryPolicy.NumRetries")
    if keys.jwks_cluster is not None:
        check_choice(keys.jwks_cluster.discovery_type, DISCOVERY_TYPES, f"{at}.JWKSCluster.DiscoveryType")


def _check_place(place: TokenPlace, at: str) -> None:
    found = [part for part in (place.header, place.query_param, place.cookie) if part is not None]
    if len(found) != 1:
        raise refuse(f"{at} must set exactly one of Header, QueryParam and Cookie")
    if not found[0].name:
        raise refuse(f"{at}: its Name is missing")
