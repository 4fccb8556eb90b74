"""What a set of rules allows: an `Authorizer` over merged rules.

An exact rule beats any prefix, the longest prefix beats the shorter ones, and of equal rules deny beats the rest. What no
rule names is the default's to decide: deny, or allow for everything but the access control itself.
"""

from collections.abc import Iterable, Mapping

from catalog.access.acl.rules import Policy, Rule, strictest
from catalog.access.authorizer import Access, Resource

_NEEDS: Mapping[Access, Policy] = {Access.READ: Policy.READ, Access.LIST: Policy.LIST, Access.WRITE: Policy.WRITE}
_NAMELESS = frozenset({Resource.ACL, Resource.KEYRING, Resource.MESH, Resource.OPERATOR, Resource.PEERING})
_FALLS_BACK = frozenset({Resource.MESH, Resource.PEERING})
"""Where no rule stands, the rule for `operator` counts (Consul's ACL rules reference)."""
ANY = "*"


class _Names:
    """The rules of one resource."""

    __slots__ = ("exact", "lengths", "prefixes")

    def __init__(self, rules: Iterable[Rule]) -> None:
        exact: dict[str, list[Policy]] = {}
        prefixes: dict[str, list[Policy]] = {}
        for rule in rules:
            (prefixes if rule.prefix else exact).setdefault(rule.name, []).append(rule.policy)
        self.exact = {name: strictest(found) for name, found in exact.items()}
        self.prefixes = {name: strictest(found) for name, found in prefixes.items()}
        self.lengths = sorted({len(name) for name in self.prefixes}, reverse=True)

    def of(self, name: str) -> Policy | None:
        """The policy for a name; None if no rule speaks of it."""
        found = self.exact.get(name)
        return self.of_prefix(name) if found is None else found

    def of_prefix(self, name: str) -> Policy | None:
        """The policy of the longest prefix of a name."""
        for length in self.lengths:
            if length <= len(name):
                found = self.prefixes.get(name[:length])
                if found is not None:
                    return found
        return None


_NO_NAMES = _Names(())


class Permissions:
    """The rights that rules give (`catalog.access.authorizer.Authorizer`). `label` is who has them, for refusals and the log."""

    def __init__(
        self, rules: Iterable[Rule], *, accessor: str = "", label: str = "", default_allow: bool = False
    ) -> None:
        by_resource: dict[Resource, list[Rule]] = {}
        for rule in rules:
            by_resource.setdefault(rule.resource, []).append(rule)
        self.accessor = accessor
        self._label = label
        self._default_allow = default_allow
        self._names = {resource: _Names(found) for resource, found in by_resource.items()}

    def __str__(self) -> str:
        return self._label or f"token {self.accessor}"

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        """See `Authorizer.allows`. An intention for `*` may be read with any right to read, written only with all."""
        names = self._names.get(resource, _NO_NAMES)
        if resource in _NAMELESS:
            name = ""
        if resource is Resource.INTENTION and name == ANY:
            return self._allows_wildcard(names, access)
        return self._enough(names.of(name), resource, access)

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        """See `Authorizer.allows_all`: what holds for the prefix itself, and no rule below it takes it back."""
        names = self._names.get(resource, _NO_NAMES)
        if not self._enough(names.of_prefix(prefix), resource, access):
            return False
        below = [policy for name, policy in (*names.prefixes.items(), *names.exact.items()) if name.startswith(prefix)]
        return all(policy >= _NEEDS[access] for policy in below)

    def _allows_wildcard(self, names: _Names, access: Access) -> bool:
        if access is Access.WRITE:
            return self.allows_all(Resource.INTENTION, "", access)
        policies = (*names.exact.values(), *names.prefixes.values())
        return any(policy >= Policy.READ for policy in policies) or self._enough(
            names.of(ANY), Resource.INTENTION, access
        )

    def _enough(self, policy: Policy | None, resource: Resource, access: Access) -> bool:
        if policy is None and resource in _FALLS_BACK:
            policy = self._names.get(Resource.OPERATOR, _NO_NAMES).of("")
        if policy is None:
            return self._default_allow and resource is not Resource.ACL
        return policy >= _NEEDS[access]
