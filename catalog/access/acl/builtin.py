"""The two policies that every catalog has and nobody may change (Consul's ACL policies page)."""

from catalog.access.acl.model import MANAGEMENT_ID, READ_ONLY_ID, AclPolicy

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
