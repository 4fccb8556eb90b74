"""Who may do what on this agent: the seam, and who trusts everybody, nobody, the process's own catalog, or a distant one.

An agent knows no policies. It asks the catalog what the caller's token may do; what cannot be asked is denied.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from agents.vm.api.call import Call, CallError
from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError, Upstream, find_token

AUTHORIZE_PATH = "/v1/internal/acl/authorize"


class Ask(NamedTuple):
    """One thing to be done: `write` to `service` `web`. Resources and accesses are Consul's words."""

    resource: str
    name: str
    access: str


class Rights(Protocol):
    """What a token may do; raises CallError if that cannot be found out."""

    @property
    def enabled(self) -> bool:
        """Whether there are access rules at all (Consul: whether ACLs are enabled)."""
        ...

    async def judge(self, token: str, asks: Sequence[Ask]) -> list[bool]:
        """A verdict for each of `asks`."""
        ...


class Trusting:
    """Everyone may do everything: who can reach the agent is trusted (a dev process, a loopback without access rules)."""

    enabled = False

    async def judge(self, token: str, asks: Sequence[Ask]) -> list[bool]:  # noqa: ARG002 - the protocol's signature
        return [True] * len(asks)


class Refusing:
    """Nobody may do anything: what a host has until somebody says otherwise."""

    enabled = True

    async def judge(self, token: str, asks: Sequence[Ask]) -> list[bool]:  # noqa: ARG002 - the protocol's signature
        return [False] * len(asks)


TRUSTING = Trusting()
REFUSING = Refusing()


class Judge(Protocol):
    """The rights of one caller, as the catalog's authorizers have them."""

    def allows(self, resource: str, name: str, access: str) -> bool: ...


class InProcess:
    """Asks the catalog in this process; `judge_of` makes a token's rights, and raises CallError for one that is none."""

    enabled = True

    def __init__(self, judge_of: Callable[[str], Judge]) -> None:
        self._judge_of = judge_of

    async def judge(self, token: str, asks: Sequence[Ask]) -> list[bool]:
        judge = self._judge_of(token)
        return [judge.allows(*ask) for ask in asks]


class Forwarded:
    """Asks a distant catalog, with the caller's token: without one, nothing is asked and nothing allowed."""

    enabled = True

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def judge(self, token: str, asks: Sequence[Ask]) -> list[bool]:
        denied = [False] * len(asks)
        if not token or not asks:
            return denied
        body = msgspec.json.encode(
            [{"Resource": ask.resource, "Segment": ask.name, "Access": ask.access} for ask in asks]
        )
        try:
            passed = await self._upstream("POST", AUTHORIZE_PATH, ((TOKEN_HEADER, token),), body)
            if passed.status != 200:
                return denied
            verdicts = msgspec.json.decode(passed.body, type=list[_Verdict])
        except CatalogAwayError as error:
            raise CallError(503, f"the catalog cannot be asked for this token's rights: {error}") from error
        except msgspec.MsgspecError:
            return denied
        return [one.allow for one in verdicts] if len(verdicts) == len(asks) else denied


class _Verdict(msgspec.Struct, frozen=True, rename="pascal"):
    allow: bool = False


async def require(rights: Rights, call: Call, *asks: Ask) -> None:
    """Refuse the call unless its token may do all of `asks`.

    Raises:
        CallError: it may not (403), or nobody can say (503).
    """
    if not rights.enabled:
        return
    for ask, allowed in zip(asks, await rights.judge(find_token(call), asks), strict=True):
        if not allowed:
            aim = f' on "{ask.name[:120]}"' if ask.name else ""
            raise CallError(403, f"Permission denied: token lacks permission '{ask.resource}:{ask.access}'{aim}")
