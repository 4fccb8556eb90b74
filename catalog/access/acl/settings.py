"""What an operator sets about access control: Consul's `acl {}` stanza as one value. It must never print a secret."""

import msgspec

DENY, ALLOW = "deny", "allow"


class AclSettings(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Access control of one catalog; given to `Api(..., acl=AclSettings(...))`.

    How Consul's stanza maps onto it:

    | `acl` | here |
    |---|---|
    | `enabled` | `enabled`. Off: everyone on the plain port is the operator, `/v1/acl/*` answers 401; certificates count as ever |
    | `default_policy` | `default_policy`: `deny` (ours) or `allow` (what no rule names is allowed, but for `acl`) |
    | `tokens.initial_management` | `initial_management`: the secret of a management token, made at the first start |
    | `tokens.default` | `default`: the secret that calls on the plain port count as made with if they carry none |
    | `tokens.agent` | `agent`: the secret that the agent in the same process registers itself with |

    `everyone` (with `enabled` off): whoever reaches any port is the operator; for a process on loopback alone.
    `reveal_secrets` prints the secrets of tokens that this process made, as Consul does, for as long as it lives: for
    `linkspan dev` alone (decision 015). Call `catalog.api.acl.start.keep_initial_tokens(api)` once before serving.
    """

    enabled: bool = True
    default_policy: str = DENY
    initial_management: str = ""
    agent: str = ""
    default: str = ""
    reveal_secrets: bool = False
    everyone: bool = False

    def __post_init__(self) -> None:
        if self.default_policy not in {ALLOW, DENY}:
            raise ValueError(f"acl.default_policy: {self.default_policy[:40]!r} is none: write allow or deny")
        if self.enabled and self.everyone:
            raise ValueError("access control cannot be on while everyone is the operator")

    def __repr__(self) -> str:
        return f"AclSettings(enabled={self.enabled}, default_policy={self.default_policy!r}, ...)"


OFF = AclSettings(enabled=False, default_policy=ALLOW)
EVERYONE = AclSettings(enabled=False, default_policy=ALLOW, everyone=True)
ON = AclSettings()
