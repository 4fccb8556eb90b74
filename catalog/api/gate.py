"""Who calls, and whether they may: from a connection's certificate or a request's token to a verdict of `catalog.access`.

Who cannot be told is nobody, and nobody may only join and read the trust bundle. Certificates are judged again at every
request, so that one that expired or was revoked since its handshake is refused. It must never log a token.
"""

import enum
from collections.abc import Callable

import msgspec

from catalog.access.acl.live import LiveAuthorizer
from catalog.access.acl.model import ANONYMOUS_ID, ANONYMOUS_SECRET
from catalog.access.acl.resolver import Resolver, UnknownTokenError
from catalog.access.acl.settings import ON, AclSettings
from catalog.access.authorizer import EVERYTHING, Authorizer, refusal_text
from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, caller_of
from catalog.access.rights import Verb, authorizer_of, may, needed
from catalog.access.tokens import GRANT_TABLE, OPERATOR_KEY, OPERATOR_TABLE, is_operator_token, read_grant
from catalog.api.http.connection import Connection, connection_of
from catalog.api.http.disconnect import Scope
from catalog.api.http.errors import PermissionDeniedError
from catalog.audit.log import AuditSink
from catalog.state.index import Topic
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

    `acl` is what the operator set about access control; `audit` takes a line of every write, once somebody sets it.
    `roots` gives the trust bundle of now, `epoch` seconds since 1970. `node` is the catalog's own, for `?near=_agent`.
    """

    def __init__(
        self,
        datacenter: str,
        state: State,
        roots: Callable[[], Roots],
        epoch: Callable[[], float],
        acl: AclSettings = ON,
    ) -> None:
        self.datacenter = datacenter
        self.acl = acl
        self.default_policy = self.acl.default_policy if self.acl.enabled else "allow"
        self.resolver = Resolver(state, datacenter, self.acl, epoch)
        self._state = state
        self._roots = roots
        self._epoch = epoch
        self._default_secret = self.acl.default
        self.audit: AuditSink | None = None
        self.node = ""

    def use_default_token(self, secret: str) -> None:
        """From now on, calls on the plain port that carry no token count as made with this one (empty: with none)."""
        self._default_secret = secret

    def caller(self, scope: Scope, token: str) -> Caller | None:
        """The caller of a request; None for one who showed no certificate where one is asked for.

        Raises:
            PermissionDeniedError: the token is not one of ours, or the certificate is not acceptable any more.
        """
        connection = connection_of(scope)
        if self.acl.everyone or (connection.own_process and not token):
            return OPERATOR
        if not connection.loopback and not connection.own_process and connection.certificate is None:
            return None
        caller = ANONYMOUS if self.acl.enabled else OPERATOR
        if connection.certificate is not None:
            caller = self._member(connection)
        elif self.acl.enabled:
            token = token or self._default_secret
        return self._bearer(token, caller) if token else caller

    def node_of(self, connection: Connection) -> str:
        """The node whose certificate a connection carries, whoever's token comes over it; empty if it is no node's."""
        if connection.certificate is None:
            return ""
        member = self._member(connection)
        return member.name if member.kind is CallerKind.NODE else ""

    def _member(self, connection: Connection) -> Caller:
        """The caller that a connection's certificate proves, now."""
        assert connection.certificate is not None
        try:
            identity = check_peer(connection.certificate, self._roots(), self._epoch())
        except PeerRefusedError as error:
            raise PermissionDeniedError(f"Permission denied: {error.reason}") from error
        grant = read_grant(self._state.record(GRANT_TABLE, identity.name))
        caller = caller_of(identity, grant)
        if caller.grant.withdrawn:
            raise PermissionDeniedError(f"Permission denied: {caller} was withdrawn: join it anew with a new token")
        return caller

    def _bearer(self, token: str, caller: Caller) -> Caller:
        """Who holds a token; while access control is off, tokens other than the operator's say nothing."""
        if is_operator_token(token, self._state.record(OPERATOR_TABLE, OPERATOR_KEY)):
            return OPERATOR
        if not self.acl.enabled:
            return caller
        if token == ANONYMOUS_SECRET:
            return ANONYMOUS
        try:
            return Caller(CallerKind.TOKEN, self.resolver.accessor_of(token))
        except UnknownTokenError as error:
            raise PermissionDeniedError(str(error)) from error

    def authorizer(self, caller: Caller, scope: Scope | None = None) -> Authorizer:
        """What the endpoints ask of a caller's rights, for as long as the call lasts: every question is answered as of now.

        Raises:
            PermissionDeniedError: its token is gone, or its certificate is not acceptable any more.
        """
        if caller.kind is CallerKind.OPERATOR or (caller.kind is CallerKind.ANONYMOUS and not self.acl.enabled):
            return EVERYTHING
        if caller.kind in {CallerKind.TOKEN, CallerKind.ANONYMOUS}:
            accessor = caller.name or ANONYMOUS_ID
            return LiveAuthorizer(self._state, lambda: self._token_rights(accessor), self._epoch)
        connection = connection_of(scope or {})
        return LiveAuthorizer(self._state, lambda: self._member_rights(caller, connection), self._epoch)

    def _token_rights(self, accessor: str) -> tuple[Authorizer, float, tuple[Topic, ...]]:
        try:
            resolved = self.resolver.resolve(accessor)
        except UnknownTokenError as error:
            raise PermissionDeniedError(str(error)) from error
        return resolved.permissions, resolved.until_s, resolved.topics

    def _member_rights(self, caller: Caller, connection: Connection) -> tuple[Authorizer, float, tuple[Topic, ...]]:
        now = self._member(connection) if connection.certificate is not None else caller
        return authorizer_of(now), 0.0, ()

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
        """Ask the table of rights; of one with a token, what its policies say.

        Raises:
            PermissionDeniedError: it says no.
        """
        verdict = may(caller, verb, what)
        if verdict:
            return
        if caller.kind not in {CallerKind.TOKEN, CallerKind.ANONYMOUS}:
            raise PermissionDeniedError(verdict.reason)
        authorizer = self.authorizer(caller)
        resource, name, access = needed(verb, what)
        if not authorizer.allows(resource, name, access):
            raise PermissionDeniedError(refusal_text(authorizer, resource, name, access))
