"""Which identity may be issued to whom. Pure: caller and asked name in, nothing or a refusal out."""

from catalog.access.callers import Caller, CallerKind
from mesh.model.identity import DEFAULT_NAMESPACE, Kind, SpiffeId

LEAF_TTL_S = 24 * 3600.0
MIN_LEAF_TTL_S = 10.0
MAX_LEAF_TTL_S = 7 * 24 * 3600.0
BACKDATE_S = 60.0
"""How long before its making a leaf is valid, for clocks that run behind."""


def backdate_s(ttl_s: float) -> float:
    """The backdating of a leaf: a tenth of a short life at most, or it would be due for renewal when it is made."""
    return min(BACKDATE_S, ttl_s / 10)


class IssueRefusedError(Exception):
    """The caller asked for a certificate that it does not get; the text says why and what would help."""


def check_asked(caller: Caller, asked: SpiffeId, trust_domain: str, datacenter: str) -> None:
    """Judge whether `caller` may have a certificate for `asked`.

    Raises:
        IssueRefusedError: another trust domain, datacenter or namespace, or not this caller's to ask for.
    """
    if asked.trust_domain != trust_domain:
        raise IssueRefusedError(f"{asked} is of another trust domain than this authority's, {trust_domain!r}")
    if asked.datacenter != datacenter:
        raise IssueRefusedError(f"{asked} is of another datacenter than this authority's, {datacenter!r}")
    if asked.namespace != DEFAULT_NAMESPACE:
        raise IssueRefusedError(f"{asked} is of another namespace than {DEFAULT_NAMESPACE!r}")
    if asked.kind is Kind.SERVER or not _may_have(caller, asked):
        raise IssueRefusedError(
            f"Permission denied: {caller} may not have a certificate for {asked}{_hint(caller, asked)}"
        )


def _may_have(caller: Caller, asked: SpiffeId) -> bool:
    if caller.kind is CallerKind.NODE:
        return _node_may_have(caller, asked)
    own = {CallerKind.SERVICE: Kind.SERVICE, CallerKind.GATEWAY: Kind.GATEWAY}.get(caller.kind)
    return caller.kind is CallerKind.OPERATOR or (asked.kind is own and asked.name == caller.name)


def _node_may_have(caller: Caller, asked: SpiffeId) -> bool:
    if asked.kind is Kind.NODE:
        return asked.name == caller.name
    if asked.kind is Kind.SERVICE:
        return caller.grant.allows_service(asked.name)
    return caller.grant.gateway and bool(asked.name) and asked.name == caller.grant.network


def _hint(caller: Caller, asked: SpiffeId) -> str:
    if caller.kind is CallerKind.NODE and asked.kind is Kind.SERVICE:
        return f": join it with a token that grants the service ({asked.name})"
    if caller.kind is CallerKind.NODE and asked.kind is Kind.GATEWAY:
        return f": join it with a token that grants the gateway of network {asked.name}"
    return ""
