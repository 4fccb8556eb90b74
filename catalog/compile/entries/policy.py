"""Kinds that say who may: service-intentions and exported-services, and what each must satisfy alone."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from catalog.compile.entries.reader import ConfigEntryError, EntryHead, EntryValue
from catalog.compile.entries.traffic import Scoped, check_header_name, check_methods, check_paths, check_regex
from mesh.model.intention import Action
from mesh.model.names import ANY, InvalidNameError, check_label

SOURCE_TYPE = "consul"
MAX_PERMISSIONS = 256

_SCOPE_NEUTRAL: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "Namespace": ("default",),
        "Partition": ("default",),
    }
)


class IntentionHeader(EntryValue, frozen=True):
    """One header rule of a permission; exactly one operator is set."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    invert: bool = False
    ignore_case: bool = False


class IntentionHttp(EntryValue, frozen=True):
    """What a permission asks of a request."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    methods: tuple[str, ...] = ()
    header: tuple[IntentionHeader, ...] = ()


class JwtClaim(EntryValue, frozen=True):
    """A claim that a token must carry."""

    path: tuple[str, ...] = ()
    value: str = ""


class JwtProviderUse(EntryValue, frozen=True):
    """A provider whose tokens are taken, and what they must claim."""

    name: str = ""
    verify_claims: tuple[JwtClaim, ...] = ()


class JwtRequirement(EntryValue, frozen=True):
    """What a request's JSON Web Token must satisfy: one provider's, with its claims."""

    providers: tuple[JwtProviderUse, ...] = ()


class IntentionPermission(EntryValue, frozen=True):
    """One ordered L7 rule. One that asks for a token denies, since proxies of this version check none."""

    action: Action
    http: IntentionHttp | None = msgspec.field(name="HTTP", default=None)
    jwt: JwtRequirement | None = msgspec.field(name="JWT", default=None)

    idle: ClassVar[tuple[str, ...]] = ("JWT",)


class IntentionSource(Scoped, frozen=True):
    """One source of a destination: an action or permissions. `precedence` is computed, whatever the caller says.

    One of a `peer` is kept and decides nothing here: there are no peers, so nobody is it. The `legacy_*` fields are
    those of an intention that was made by the form of before Consul 1.9, which has an id.
    """

    name: str
    action: Action | None = None
    permissions: tuple[IntentionPermission, ...] = ()
    precedence: int = 0
    type: str = ""
    description: str = ""
    peer: str = ""
    legacy_id: str = msgspec.field(name="LegacyID", default="")
    legacy_meta: dict[str, str] = msgspec.field(default_factory=dict)
    legacy_create_time: str = ""
    legacy_update_time: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition", "SamenessGroup")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE_NEUTRAL


class ServiceIntentions(EntryHead, frozen=True, tag_field="Kind", tag="service-intentions"):
    """Who may call the destination `name` (`*`: every service); with `jwt` nobody, since no token is checked."""

    sources: tuple[IntentionSource, ...] = ()
    jwt: JwtRequirement | None = msgspec.field(name="JWT", default=None)

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    idle: ClassVar[tuple[str, ...]] = ("JWT",)
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE_NEUTRAL


class Consumer(EntryValue, frozen=True):
    """A network that may reach an exported service (`*`: every network), or a peer, of which there is none here."""

    network: str = ""
    peer: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Partition", "SamenessGroup")
    idle: ClassVar[tuple[str, ...]] = ("Peer",)


class ExportedService(Scoped, frozen=True):
    """One exported service (`*`: every one) and its consumers."""

    name: str
    consumers: tuple[Consumer, ...] = ()


class ExportedServices(EntryHead, frozen=True, tag_field="Kind", tag="exported-services"):
    """What other networks may reach: of the network `name`, or of every network if the name is `default`."""

    services: tuple[ExportedService, ...] = ()

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE_NEUTRAL


def precedence(source: str, destination: str) -> int:
    """Consul's precedence of a pair without namespaces: 9, 8 (any source), 6 (any destination), 5 (both)."""
    if destination == ANY:
        return 5 if source == ANY else 6
    return 8 if source == ANY else 9


def check_intentions(entry: ServiceIntentions) -> ServiceIntentions:
    """Check every source and give it its precedence; sources come out highest precedence first, else in their order."""
    if not entry.sources:
        raise ConfigEntryError(500, "Config entry: Sources must hold at least one source")
    check_requirement(entry.jwt, "JWT")
    seen: set[tuple[str, str]] = set()
    checked = []
    for i, source in enumerate(entry.sources):
        at = f"Sources[{i}]"
        if (source.peer, source.name) in seen:
            raise ConfigEntryError(500, f"Config entry: {at} defines the source {source.name[:80]!r} more than once")
        seen.add((source.peer, source.name))
        checked.append(check_source(source, entry.name, at))
    checked.sort(key=lambda source: -source.precedence)
    return msgspec.structs.replace(entry, sources=tuple(checked))


def check_source(source: IntentionSource, destination: str, at: str) -> IntentionSource:
    """Check one source of a destination; returns it with its precedence and type.

    Raises:
        ConfigEntryError: the name is neither a service nor `*`, or action and permissions are both there or both missing.
    """
    check_service_or_any(source.name, f"{at}.Name")
    if source.peer:
        check_peer(source.peer, f"{at}.Peer")
    if source.type not in {"", SOURCE_TYPE}:
        raise ConfigEntryError(500, f"Config entry: {at}.Type must be {SOURCE_TYPE!r}")
    if (source.action is None) == (not source.permissions):
        raise ConfigEntryError(500, f"Config entry: {at} must set either Action or Permissions")
    if source.permissions and destination == ANY:
        raise ConfigEntryError(500, f"Config entry: {at}.Permissions cannot be used with the wildcard destination")
    if len(source.permissions) > MAX_PERMISSIONS:
        raise ConfigEntryError(500, f"Config entry: {at}.Permissions holds more than {MAX_PERMISSIONS} rules")
    if len(source.description) > 512:
        raise ConfigEntryError(500, f"Config entry: {at}.Description is longer than 512 characters")
    for i, permission in enumerate(source.permissions):
        _check_permission(permission, f"{at}.Permissions[{i}]")
    return msgspec.structs.replace(source, precedence=precedence(source.name, destination), type=SOURCE_TYPE)


def _check_permission(permission: IntentionPermission, at: str) -> None:
    http = permission.http or IntentionHttp()
    check_requirement(permission.jwt, f"{at}.JWT")
    if http == IntentionHttp() and permission.jwt is None:
        raise ConfigEntryError(500, f"Config entry: {at}.HTTP must set a path, methods or a header")
    check_paths(http.path_exact, http.path_prefix, http.path_regex, f"{at}.HTTP")
    check_methods(http.methods, f"{at}.HTTP")
    for i, header in enumerate(http.header):
        where = f"{at}.HTTP.Header[{i}]"
        check_header_name(header.name, f"{where}.Name")
        set_ = (header.present, header.exact, header.prefix, header.suffix, header.contains, header.regex)
        if sum(1 for operator in set_ if operator) != 1:
            raise ConfigEntryError(500, f"Config entry: {where} must set exactly one of its match operators")
        if header.ignore_case and (header.present or header.regex):
            raise ConfigEntryError(500, f"Config entry: {where}.IgnoreCase goes with Exact, Prefix, Suffix or Contains")
        check_regex(header.regex, f"{where}.Regex")


def check_requirement(requirement: JwtRequirement | None, at: str) -> None:
    """Providers have names, claims have a path and a value.

    Raises:
        ConfigEntryError: status 500.
    """
    for i, use in enumerate(requirement.providers if requirement is not None else ()):
        if not use.name:
            raise ConfigEntryError(500, f"Config entry: {at}.Providers[{i}].Name is missing")
        for j, claim in enumerate(use.verify_claims):
            if not claim.path or not claim.value:
                raise ConfigEntryError(500, f"Config entry: {at}.Providers[{i}].VerifyClaims[{j}] needs Path and Value")


def providers_of(entry: ServiceIntentions) -> list[str]:
    """The token providers that an entry names."""
    requirements = [entry.jwt, *(rule.jwt for source in entry.sources for rule in source.permissions)]
    return [use.name for requirement in requirements if requirement is not None for use in requirement.providers]


def check_exports(entry: ExportedServices) -> ExportedServices:
    """Check that names are services or networks, each service once."""
    seen: set[str] = set()
    for i, service in enumerate(entry.services):
        at = f"Services[{i}]"
        check_service_or_any(service.name, f"{at}.Name")
        if service.name in seen:
            raise ConfigEntryError(500, f"Config entry: {at}.Name {service.name!r} is given twice")
        seen.add(service.name)
        if not service.consumers:
            raise ConfigEntryError(500, f"Config entry: {at}.Consumers must hold at least one network")
        for j, consumer in enumerate(service.consumers):
            where = f"{at}.Consumers[{j}]"
            if bool(consumer.network) == bool(consumer.peer):
                raise ConfigEntryError(500, f"Config entry: {where} must set exactly one of Network and Peer")
            if consumer.network:
                check_service_or_any(consumer.network, f"{where}.Network")
            else:
                check_peer(consumer.peer, f"{where}.Peer")
    return entry


def check_peer(name: str, at: str) -> None:
    """A peer's name; never the wildcard."""
    try:
        check_label(name, "name")
    except InvalidNameError as error:
        raise ConfigEntryError(500, f"Config entry: {at}: {error}") from error


def check_service_or_any(name: str, at: str) -> None:
    """A name by the rule for services and networks, or the wildcard alone."""
    if name == ANY:
        return
    try:
        check_label(name, "name")
    except InvalidNameError as error:
        raise ConfigEntryError(500, f"Config entry: {at}: {error}, or be '*'") from error
