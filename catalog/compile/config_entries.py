"""Config entries from outside: JSON in, a typed and checked entry and its canonical JSON out.

This is the only door: nothing is written to the state that did not pass `decode_entry`. What an entry must satisfy
together with the other entries is `catalog.compile.consistency`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from catalog.compile.entries import certificates, defaults, gateways, jwt, policy, routes, traffic
from catalog.compile.entries.certificates import FileSystemCertificate, InlineCertificate
from catalog.compile.entries.defaults import Mesh, ProxyDefaults, ServiceDefaults
from catalog.compile.entries.gateways import ApiGateway, IngressGateway, TerminatingGateway
from catalog.compile.entries.jwt import JwtProvider
from catalog.compile.entries.policy import ExportedServices, IntentionSource, ServiceIntentions
from catalog.compile.entries.reader import ConfigEntryError, fold, read_value, write_value
from catalog.compile.entries.routes import HttpRoute, TcpRoute
from catalog.compile.entries.traffic import ServiceResolver, ServiceRouter, ServiceSplitter
from mesh.model.names import ANY, InvalidNameError, check_label

__all__ = [
    "KINDS",
    "ConfigEntryError",
    "Entry",
    "check_kind",
    "decode_entry",
    "decode_source",
    "entry_body",
    "entry_kind",
    "entry_type",
    "stored_entry",
]

Entry = (
    ServiceDefaults
    | ProxyDefaults
    | Mesh
    | ServiceRouter
    | ServiceSplitter
    | ServiceResolver
    | ServiceIntentions
    | ExportedServices
    | IngressGateway
    | TerminatingGateway
    | ApiGateway
    | HttpRoute
    | TcpRoute
    | JwtProvider
    | InlineCertificate
    | FileSystemCertificate
)

MAX_META = 64
MAX_META_KEY = 128
MAX_META_VALUE = 512


class _Kind(NamedTuple):
    value: type[Entry]
    check: Callable[[Any], Entry]
    only_name: str = ""


_KINDS: Mapping[str, _Kind] = {
    "service-defaults": _Kind(ServiceDefaults, defaults.check_service_defaults),
    "proxy-defaults": _Kind(ProxyDefaults, defaults.check_proxy_defaults, "global"),
    "mesh": _Kind(Mesh, defaults.check_mesh, "mesh"),
    "service-router": _Kind(ServiceRouter, traffic.check_router),
    "service-splitter": _Kind(ServiceSplitter, traffic.check_splitter),
    "service-resolver": _Kind(ServiceResolver, traffic.check_resolver),
    "service-intentions": _Kind(ServiceIntentions, policy.check_intentions),
    "exported-services": _Kind(ExportedServices, policy.check_exports),
    "ingress-gateway": _Kind(IngressGateway, gateways.check_ingress),
    "terminating-gateway": _Kind(TerminatingGateway, gateways.check_terminating),
    "api-gateway": _Kind(ApiGateway, gateways.check_api_gateway),
    "http-route": _Kind(HttpRoute, routes.check_http_route),
    "tcp-route": _Kind(TcpRoute, routes.check_tcp_route),
    "jwt-provider": _Kind(JwtProvider, jwt.check_provider),
    "inline-certificate": _Kind(InlineCertificate, certificates.check_inline),
    "file-system-certificate": _Kind(FileSystemCertificate, certificates.check_files),
}

KINDS = tuple(_KINDS)
"""The kinds that can be written."""

READ_ONLY_KINDS = ("bound-api-gateway",)
"""Kinds that Consul makes by itself: they can be asked for, and there are none."""


def check_kind(kind: str, *, reading: bool = False) -> str:
    """Return `kind` if it is one that can be written, or (`reading`) asked for.

    Raises:
        ConfigEntryError: status 400; it is not.
    """
    if reading and kind in READ_ONLY_KINDS:
        return kind
    if kind in READ_ONLY_KINDS:
        raise ConfigEntryError(400, f"Config entry: kind {kind!r} is made by the catalog alone and cannot be written")
    if kind not in _KINDS:
        raise ConfigEntryError(400, f"Config entry: invalid kind {kind[:80]!r}: use one of {', '.join(KINDS)}")
    return kind


def decode_entry(body: object) -> Entry:
    """Read one config entry from parsed JSON (Consul `PUT /v1/config`), strictly.

    Raises:
        ConfigEntryError: the kind or a field is unknown, a type or a value is wrong; the text names the field.
    """
    if not isinstance(body, dict):
        raise ConfigEntryError(400, "Config entry: the body must be a JSON object with Kind and Name")
    by_fold = {fold(key): value for key, value in body.items() if isinstance(key, str)}
    kind = by_fold.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ConfigEntryError(400, "Config entry: field Kind must be a string that names the kind")
    known = _KINDS[check_kind(kind)]
    rest = {key: value for key, value in body.items() if fold(key) != "kind"}
    if known.only_name and not by_fold.get("name"):
        rest = {**{key: value for key, value in rest.items() if fold(key) != "name"}, "Name": known.only_name}
    entry = read_value(rest, known.value)
    _check_name(entry, kind, known.only_name)
    _check_meta(entry.meta)
    return known.check(entry)


def decode_source(body: object, destination: str, name: str) -> IntentionSource:
    """Read the body of `PUT /v1/connect/intentions/exact` as the source `name` of `destination`.

    Consul's form of an intention carries both names; only `Action`, `Permissions`, `Description` and the type are read
    from it, the names come from the query (reference 9a.13: a mismatch in the body is ignored).

    Raises:
        ConfigEntryError: as `decode_entry` does.
    """
    if not isinstance(body, dict):
        raise ConfigEntryError(400, "Intention: the body must be a JSON object with Action or Permissions")
    read_over = {"id", "sourcens", "sourcename", "sourcepartition", "destinationns", "destinationname"}
    read_over |= {"destinationpartition", "precedence", "createindex", "modifyindex", "createdat", "updatedat", "hash"}
    shaped: dict[str, Any] = {"Name": name}
    for key, value in body.items():
        folded = fold(key)
        if folded == "sourcetype":
            shaped["Type"] = value
        elif folded == "meta" and not value:
            continue
        elif folded == "sourcepeer" and value:
            raise ConfigEntryError(
                400, "Intention: SourcePeer cannot be written here: write the service-intentions entry"
            )
        elif folded not in read_over:
            if folded not in {"action", "permissions", "description"}:
                raise ConfigEntryError(400, f"Intention: unknown field {key}")
            shaped[key] = value
    _check_destination(destination)
    if not shaped.get("Action"):
        shaped.pop("Action", None)
    return policy.check_source(read_value(shaped, IntentionSource), destination, "Intention")


def entry_body(entry: Entry) -> dict[str, Any]:
    """The canonical CamelCase JSON of an entry, without indexes: what the state keeps and `GET /v1/config` prints."""
    return write_value(entry)


def entry_kind(entry: Entry) -> str:
    """The entry's kind, as in its JSON."""
    return cast("str", type(entry).__struct_config__.tag)


def entry_type(kind: str) -> type[Entry] | None:
    """The type of a kind's entries; None for a kind that cannot be written."""
    known = _KINDS.get(kind)
    return known.value if known is not None else None


def stored_entry(body: Mapping[str, Any]) -> Entry:
    """The typed form of a body that the state keeps.

    Raises:
        ConfigEntryError: it was never written through `decode_entry`, or by a newer version.
    """
    return decode_entry(dict(body))


def _check_name(entry: Entry, kind: str, only_name: str) -> None:
    if only_name:
        if entry.name != only_name:
            raise ConfigEntryError(
                500, f"Config entry: invalid name {entry.name[:80]!r}: only {only_name!r} is supported"
            )
    elif kind == "service-intentions":
        _check_destination(entry.name)
    else:
        try:
            check_label(entry.name, "Name")
        except InvalidNameError as error:
            raise ConfigEntryError(500, f"Config entry: {error}") from error


def _check_destination(name: str) -> None:
    if name != ANY:
        try:
            check_label(name, "Name")
        except InvalidNameError as error:
            raise ConfigEntryError(500, f"Config entry: {error}, or be '*'") from error


def _check_meta(meta: Mapping[str, str]) -> None:
    if len(meta) > MAX_META:
        raise ConfigEntryError(500, f"Config entry: Meta holds more than {MAX_META} pairs")
    for key, value in meta.items():
        if not 0 < len(key) <= MAX_META_KEY or len(value) > MAX_META_VALUE:
            raise ConfigEntryError(
                500,
                f"Config entry: Meta key {key[:40]!r}: keys have 1 to {MAX_META_KEY}, values up to {MAX_META_VALUE} characters",
            )
