"""Who calls, and whether they may: from a connection's certificate or a request's token to a verdict of `catalog.access`.

Who cannot be told is nobody, and nobody may only join and read the trust bundle. Certificates are judged again at every
request, so that one that expired or was revoked since its handshake is refused. It must never log a token.
"""

import enum
from collections.abc import Callable

import msgspec

from catalog.access.authorizer import Authorizer
from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, caller_of
from catalog.access.rights import Verb, authorizer_of, may
from catalog.access.tokens import GRANT_TABLE, OPERATOR_KEY, OPERATOR_TABLE, is_operator_token, read_grant
from catalog.api.http.connection import connection_of
from catalog.api.http.disconnect import Scope
from catalog.api.http.errors import PermissionDeniedError
from catalog.state.state import State
from mesh.identity.peer import PeerRefusedError, check_peer
from mesh.model.snapshot import Roots


class Judge(enum.Enum):
    """Who decides on a method."""

    TABLE = "the table of rights, before the handler runs"
    HANDLER = "the handler, for what is asked stands in the body"
    NOBODY = "nobody: it is open to whoever reaches the port"


class Right(msgspec.Struct, frozen=True):
    """What a method asks of its caller: the verb and to what, or who else decides."""

    verb: Verb = Verb.OPERATE
    what: str = ""
    judge: Judge = Judge.TABLE


def reading(family: str) -> Right:
    """The right to read a family of endpoints."""
    return Right(Verb.READ, family)


IN_HANDLER = Right(judge=Judge.HANDLER)
OPEN = Right(judge=Judge.NOBODY)
OPERATE = Right(Verb.OPERATE)


class Gate:
    """The gate in front of every endpoint of one catalog.

    `everyone_operates` is dev mode, for a server on loopback alone. `roots` gives the trust bundle of now, `epoch`
    seconds since 1970.
    """

    def __init__(
        self,
        datacenter: str,
        state: State,
        roots: Callable[[], Roots],
        epoch: Callable[[], float],
        *,
        everyone_operates: bool = False,
    ) -> None:
        self.datacenter = datacenter
        self.default_policy = "allow" if everyone_operates else "deny"
        self._state = state
        self._roots = roots
        self._epoch = epoch
        self._everyone_operates = everyone_operates

    def caller(self, scope: Scope, token: str) -> Caller | None:
        """The caller of a request; None for one who showed no certificate where one is asked for.

        Raises:
            PermissionDeniedError: the token is not one of ours, or the certificate is not acceptable any more.
        """
        if self._everyone_operates:
            return OPERATOR
        connection = connection_of(scope)
        if not connection.loopback and connection.certificate is None:
            return None
        caller = ANONYMOUS
        if connection.certificate is not None:
            try:
                identity = check_peer(connection.certificate, self._roots(), self._epoch())
            except PeerRefusedError as error:
                raise PermissionDeniedError(f"Permission denied: {error.reason}") from error
            grant = read_grant(self._state.record(GRANT_TABLE, identity.name))
            caller = caller_of(identity, grant)
            if caller.grant.withdrawn:
                raise PermissionDeniedError(f"Permission denied: {caller} was withdrawn: join it anew with a new token")
        if token:
            if not is_operator_token(token, self._state.record(OPERATOR_TABLE, OPERATOR_KEY)):
                raise PermissionDeniedError("ACL not found")  # Consul's words for a token that it does not know
            caller = OPERATOR
        return caller

    def authorizer(self, caller: Caller) -> Authorizer:
        """What the endpoints ask of a caller's rights."""
        return authorizer_of(caller)

    def admit(self, caller: Caller | None, right: Right) -> Caller:
        """Let a caller through to a method's handler, or refuse it.

        Raises:
            PermissionDeniedError: the table of rights says no.
        """
        if right.judge is Judge.NOBODY:
            return caller or Caller(CallerKind.ANONYMOUS)
        if caller is None:
            raise PermissionDeniedError(
                "Permission denied: this port asks for a client certificate of the mesh: join first, or use the loopback port"
            )
        if right.judge is Judge.TABLE:
            self.check(caller, right.verb, right.what)
        return caller

    def check(self, caller: Caller, verb: Verb, what: str = "") -> None:
        """Ask the table of rights.

        Raises:
            PermissionDeniedError: it says no.
        """
        verdict = may(caller, verb, what)
        if not verdict:
            raise PermissionDeniedError(verdict.reason)
