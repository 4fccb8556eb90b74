"""What nobody may change: the two policies that every catalog has (Consul's ACL policies page), and the operator's token."""

import uuid

from catalog.access.acl.model import MANAGEMENT_ID, READ_ONLY_ID, AclPolicy, Rights, Token
from catalog.access.tokens import OPERATOR_KEY, OPERATOR_TABLE
from catalog.state.state import State

INITIAL = "Initial Management Token"
"""Consul's description of the token that its configuration names."""

_NAMED = ("agent", "event", "key", "node", "query", "session")
_WHOLE = ("acl", "keyring", "operator", "mesh", "peering")


def _rules(policy: str, intentions: str) -> str:
    lines = [f'{name} = "{policy}"' for name in _WHOLE]
    lines += [f'{name}_prefix "" {{\n  policy = "{policy}"\n}}' for name in _NAMED]
    lines.append(f'service_prefix "" {{\n  policy = "{policy}"\n  intentions = "{intentions}"\n}}')
    return "\n".join(lines) + "\n"


MANAGEMENT = AclPolicy(
    MANAGEMENT_ID,
    "global-management",
    "Builtin Policy that grants unlimited access",
    _rules("write", "write"),
)
READ_ONLY = AclPolicy(
    READ_ONLY_ID,
    "builtin/global-read-only",
    "Builtin Policy that grants unlimited read-only access to all components",
    _rules("read", "read"),
)
BUILTIN = {policy.id: policy for policy in (MANAGEMENT, READ_ONLY)}


def operator_token(state: State) -> Token | None:
    """The operator's token, with an accessor made from its hash; None for a catalog that has none."""
    record = state.record(OPERATOR_TABLE, OPERATOR_KEY)
    if record is None:
        return None
    accessor = str(uuid.uuid5(uuid.NAMESPACE_OID, f"linkspan operator {record.value.decode()}"))
    return Token(accessor, record.value.decode(), INITIAL, Rights((MANAGEMENT_ID,)))
