"""From a secret to what it may: tokens looked up by hash, their policies gathered, compiled and kept until they change.

Nothing here outlives a change of what it was made from: every answer is keyed by the index of its records. A policy that
cannot be read gives its holders nothing at all, since the rule that is lost could be one that denies.
"""

from collections.abc import Callable, Iterator

import msgspec

from catalog.access.acl import model
from catalog.access.acl.builtin import BUILTIN
from catalog.access.acl.model import (
    ANONYMOUS_ID,
    ANONYMOUS_SECRET,
    POLICIES,
    ROLES,
    SECRETS,
    TOKENS,
    AclPolicy,
    Rights,
    Role,
    Token,
    read_kept,
    secret_hash,
)
from catalog.access.acl.permissions import Permissions
from catalog.access.acl.rules import Rule, RuleError, parse_rules
from catalog.access.acl.settings import ALLOW, AclSettings
from catalog.access.acl.templates import TemplateError, node_rules, service_rules, template_rules
from catalog.state.index import Topic
from catalog.state.state import State

MAX_SECRET = 1024
KEPT = 4096
"""How many compiled tokens, and parsed texts, are kept; the oldest go."""

ANONYMOUS_TOKEN = Token(ANONYMOUS_ID, secret_hash(ANONYMOUS_SECRET), "Anonymous Token")


class UnknownTokenError(Exception):
    """The caller's fault: there is no such token, or not any more."""

    def __init__(self) -> None:
        super().__init__("ACL not found")  # Consul's words; they say nothing about which


class Resolved(msgspec.Struct, frozen=True):
    """What a token may, until which time (seconds since the epoch, 0: no end), and the topics that this rests on."""

    permissions: Permissions
    until_s: float
    topics: tuple[Topic, ...]


class Resolver:
    """The tokens of one catalog."""

    def __init__(self, state: State, datacenter: str, settings: AclSettings, epoch: Callable[[], float]) -> None:
        self._state = state
        self._datacenter = datacenter
        self._default_allow = settings.default_policy == ALLOW
        self._epoch = epoch
        self._resolved: dict[str, tuple[int, Resolved]] = {}
        self._parsed: dict[str, tuple[Rule, ...]] = {}

    def token_of(self, secret: str) -> Token:
        """The token that a secret opens.

        Raises:
            UnknownTokenError: none, or its time is over.
        """
        return self.token(self.accessor_of(secret))

    def accessor_of(self, secret: str) -> str:
        """The accessor of the token that a secret opens; whether its time is over is said by `resolve`.

        Raises:
            UnknownTokenError: none.
        """
        if secret == ANONYMOUS_SECRET:
            return ANONYMOUS_ID
        record = self._state.record(SECRETS, secret_hash(secret[:MAX_SECRET]))
        if record is None:
            raise UnknownTokenError
        return record.value.decode()

    def token(self, accessor: str) -> Token:
        """The token of an accessor.

        Raises:
            UnknownTokenError: there is none, or its time is over.
        """
        token = read_kept(self._state.record(TOKENS, accessor.lower()), Token)
        if token is None and accessor == ANONYMOUS_ID:
            return ANONYMOUS_TOKEN
        if token is None or token.is_over(self._epoch()):
            raise UnknownTokenError
        return token

    def anonymous(self) -> Token:
        """The token of those who show none; as Consul makes it, unless somebody gave it policies."""
        return self.token(ANONYMOUS_ID)

    def resolve(self, accessor: str) -> Resolved:
        """What the token of an accessor may.

        Raises:
            UnknownTokenError: there is none, or its time is over.
        """
        known = self._resolved.get(accessor)
        if known is not None and known[0] == self._state.index_of(*known[1].topics):
            until_s = known[1].until_s
            if 0.0 < until_s <= self._epoch():
                raise UnknownTokenError
            return known[1]
        token = self.token(accessor)
        resolved = self._compile(token)
        self._resolved.pop(accessor, None)
        if len(self._resolved) >= KEPT:
            del self._resolved[next(iter(self._resolved))]
        self._resolved[accessor] = (self._state.index_of(*resolved.topics), resolved)
        return resolved

    def policy(self, policy_id: str) -> AclPolicy | None:
        """The policy of an id."""
        return BUILTIN.get(policy_id) or read_kept(self._state.record(POLICIES, policy_id), AclPolicy)

    def role(self, role_id: str) -> Role | None:
        """The role of an id."""
        return read_kept(self._state.record(ROLES, role_id), Role)

    def _compile(self, token: Token) -> Resolved:
        topics: dict[Topic, None] = {("record", TOKENS, token.accessor.lower()): None}
        sources = [token.rights]
        for role_id in token.rights.roles:
            topics["record", ROLES, role_id] = None
            role = self.role(role_id)
            if role is not None:
                sources.append(role.rights)
        for rights in sources:
            topics.update({("record", POLICIES, one): None for one in rights.policies if one not in BUILTIN})
        is_anonymous = token.accessor == ANONYMOUS_ID
        label = "anonymous token" if is_anonymous else f"token {token.accessor}"
        try:
            rules = [rule for rights in sources for text in self._texts(rights) for rule in self._rules(text)]
        except (RuleError, TemplateError):
            permissions = Permissions((), accessor=token.accessor, label=label)
        else:
            permissions = Permissions(rules, accessor=token.accessor, label=label, default_allow=self._default_allow)
        return Resolved(permissions, token.expires_s, tuple(topics))

    def _texts(self, rights: Rights) -> Iterator[str]:
        for policy_id in rights.policies:
            policy = self.policy(policy_id)
            if policy is not None and self._here(policy.datacenters):
                yield policy.rules
        for service in rights.services:
            if self._here(service.datacenters):
                yield service_rules(service)
        for node in rights.nodes:
            if self._here((node.datacenter,)):
                yield node_rules(node)
        for template in rights.templates:
            if self._here(template.datacenters):
                yield template_rules(template)

    def _here(self, datacenters: tuple[str, ...]) -> bool:
        return not datacenters or self._datacenter in datacenters

    def _rules(self, text: str) -> tuple[Rule, ...]:
        rules = self._parsed.get(text)
        if rules is None:
            rules = parse_rules(text)
            if len(self._parsed) >= KEPT:
                del self._parsed[next(iter(self._parsed))]
            self._parsed[text] = rules
        return rules


def is_management(token: Token) -> bool:
    """Whether a token has the policy that grants everything."""
    return model.MANAGEMENT_ID in token.rights.policies
