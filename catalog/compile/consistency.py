"""Whether a config entry fits the others: judged before every write and delete, with the result that proxies would get.

What passes here compiles, both in the catalog and in the proxies' own compilers, so that no proxy ever refuses a
resource because of an entry. Two writes judged at the same time could still contradict each other: the caller judges
and submits under one lock.
"""

from collections.abc import Iterable

from catalog.compile.chain import ChainError, compile_chain
from catalog.compile.config_entries import ConfigEntryError, Entry, entry_kind
from catalog.compile.entries.defaults import Mesh, ProxyDefaults, ServiceDefaults
from catalog.compile.entries.gateways import IngressGateway
from catalog.compile.entries.policy import ServiceIntentions, providers_of
from catalog.compile.entries.traffic import ServiceResolver, ServiceRouter, ServiceSplitter
from catalog.compile.entry_view import Entries, Overlay, entry_of, protocol_of
from catalog.compile.intentions import check_providers, check_source_write
from mesh.decide.route import ChainError as ProxyChainError
from mesh.decide.route import compile_chain as compile_for_proxy
from mesh.model.names import ANY

TRAFFIC_KINDS = ("service-router", "service-splitter", "service-resolver")
_PROTOCOL_KINDS = frozenset({"service-defaults", "proxy-defaults"})


def check_write(entries: Entries, entry: Entry, datacenter: str) -> None:
    """Judge writing `entry` over what is there.

    Raises:
        ConfigEntryError: status 400; a chain or an intention would contradict itself.
    """
    _check(Overlay(entries, entry_kind(entry), entry.name, entry), entry_kind(entry), entry.name, datacenter)


def check_delete(entries: Entries, kind: str, name: str, datacenter: str) -> None:
    """Judge deleting the entry of that kind and name.

    Raises:
        ConfigEntryError: status 400; another entry needs it.
    """
    _check(Overlay(entries, kind, name, None), kind, name, datacenter)


def _check(after: Entries, kind: str, name: str, datacenter: str) -> None:
    if kind in TRAFFIC_KINDS or kind in _PROTOCOL_KINDS:
        services = _with_chains(after) if kind == "proxy-defaults" else _reaching(after, name)
        for service in services:
            _check_chain(after, service, datacenter)
    if kind in _PROTOCOL_KINDS:
        _check_protocols(after, kind, name)
    elif kind == "service-intentions":
        _check_intentions(after, name)
    elif kind == "ingress-gateway":
        _check_ingress(after, name, "")
    elif kind == "mesh":
        _check_mutual_tls(after, "proxy-defaults", "global")
        for service in after.names("service-defaults"):
            _check_mutual_tls(after, "service-defaults", service)
    elif kind == "jwt-provider" and after.get(kind, name) is None:
        _check_provider_unused(after, name)


def _check_protocols(after: Entries, kind: str, name: str) -> None:
    """What hangs on a service's protocol, or (proxy-defaults) on that of every service."""
    for destination in after.names("service-intentions") if kind == "proxy-defaults" else (name,):
        _check_intentions(after, destination)
    for gateway in after.names("ingress-gateway"):
        _check_ingress(after, gateway, "" if kind == "proxy-defaults" else name)
    _check_mutual_tls(after, kind, name)


def _check_chain(after: Entries, service: str, datacenter: str) -> None:
    try:
        compile_for_proxy(compile_chain(after, service, datacenter))
    except (ChainError, ProxyChainError) as error:
        raise ConfigEntryError(500, f"discovery chain of {service!r}: {error}") from error


def _check_intentions(after: Entries, destination: str) -> None:
    entry = entry_of(after, ServiceIntentions, "service-intentions", destination)
    for source in entry.sources if entry is not None else ():
        check_source_write(after, source, destination)
    if entry is not None:
        check_providers(after, (entry.jwt,), destination)


def _check_provider_unused(after: Entries, name: str) -> None:
    for destination in after.names("service-intentions"):
        entry = entry_of(after, ServiceIntentions, "service-intentions", destination)
        if entry is not None and name in providers_of(entry):
            raise ConfigEntryError(500, f"jwt-provider {name!r} is used by the intentions of {destination!r}")


def _check_ingress(after: Entries, gateway: str, service: str) -> None:
    """A listener's services speak its protocol; `service`: look at that one alone."""
    entry = entry_of(after, IngressGateway, "ingress-gateway", gateway)
    for listener in entry.listeners if entry is not None else ():
        for exposed in listener.services:
            if exposed.name == ANY or service not in {"", exposed.name}:
                continue
            protocol = protocol_of(after, exposed.name)
            if protocol != listener.protocol:
                raise ConfigEntryError(
                    500,
                    f"service {exposed.name!r} has protocol {protocol!r}, which does not match defined listener "
                    f"protocol {listener.protocol!r} of ingress-gateway {gateway!r}",
                )


def _check_mutual_tls(after: Entries, kind: str, name: str) -> None:
    entry = after.get(kind, name)
    if not isinstance(entry, ServiceDefaults | ProxyDefaults) or entry.mutual_tls_mode != "permissive":
        return
    mesh = entry_of(after, Mesh, "mesh", "mesh")
    if mesh is None or not mesh.allow_enabling_permissive_mutual_tls:
        raise ConfigEntryError(
            500,
            f"{kind} {name!r}: MutualTLSMode=permissive needs AllowEnablingPermissiveMutualTLS=true in the mesh entry",
        )


def _with_chains(entries: Entries) -> list[str]:
    return sorted({name for kind in TRAFFIC_KINDS for name in entries.names(kind)})


def _reaching(entries: Entries, name: str) -> list[str]:
    """`name` and every service whose chain could lead to it."""
    leading: dict[str, set[str]] = {}
    for service in _with_chains(entries):
        for aim in _aims(entries, service):
            leading.setdefault(aim, set()).add(service)
    found, stack = {name}, [name]
    while stack:
        for service in leading.get(stack.pop(), ()):
            if service not in found:
                found.add(service)
                stack.append(service)
    return sorted(found)


def _aims(entries: Entries, service: str) -> Iterable[str]:
    """The other services that the entries of `service` name."""
    for kind in TRAFFIC_KINDS:
        yield from named_services(entries.get(kind, service))


def named_services(entry: Entry | None) -> Iterable[str]:
    """The other services that an entry sends traffic to; an empty name is its own."""
    if isinstance(entry, ServiceRouter):
        for route in entry.routes:
            if route.destination is not None:
                yield route.destination.service
    elif isinstance(entry, ServiceSplitter):
        for split in entry.splits:
            yield split.service
    elif isinstance(entry, ServiceResolver):
        if entry.redirect is not None:
            yield entry.redirect.service
        for failover in entry.failover.values():
            yield failover.service
            for target in failover.targets:
                yield target.service
