"""The token that a query is run with: kept by its public id, looked up again at every run. A secret is never kept."""

from catalog.access.acl.resolver import UnknownTokenError
from catalog.access.authorizer import Authorizer
from catalog.access.callers import Caller, CallerKind
from catalog.api.gate import Gate
from catalog.api.http.errors import PermissionDeniedError


def accessor_of(gate: Gate, secret: str) -> str:
    """The public id of a token; empty while access control is off, where tokens say nothing.

    Raises:
        PermissionDeniedError: there is no such token.
    """
    if not secret or not gate.acl.enabled:
        return ""
    try:
        return gate.resolver.token_of(secret).accessor
    except UnknownTokenError as error:
        raise PermissionDeniedError(str(error)) from error


def rights_of(gate: Gate, accessor: str) -> Authorizer | None:
    """The rights of a token by its public id, as of now; None if it is gone."""
    try:
        gate.resolver.token(accessor)
    except UnknownTokenError:
        return None
    return gate.authorizer(Caller(CallerKind.TOKEN, accessor))
