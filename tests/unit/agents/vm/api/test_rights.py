"""Who may do what: trust, refusal, the process's own catalog, and a distant one."""

from collections.abc import Sequence

import msgspec
import pytest
import trio

from agents.vm.api.call import Call, CallError
from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.api.rights import REFUSING, TRUSTING, Ask, Forwarded, InProcess, require

READ_WEB = Ask("service", "web", "read")
WRITE_WEB = Ask("service", "web", "write")


class Catalog:
    """A catalog with the endpoint that judges."""

    def __init__(self, status: int = 200, body: bytes = b'[{"Allow":true},{"Allow":false}]') -> None:
        self.answer = Passed(status, (), body)
        self.asked: list[tuple[str, str, Headers, object]] = []

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        if not self.answer.status:
            raise CatalogAwayError("gone")
        self.asked.append((method, target, headers, msgspec.json.decode(body)))
        return self.answer


def call(token: str = "t") -> Call:
    return Call("GET", "/v1/agent/self", headers=(("x-consul-token", token),) if token else ())


async def test_trust_and_refusal() -> None:
    """Both know no tokens."""
    assert await TRUSTING.judge("", [READ_WEB]) == [True]
    assert await REFUSING.judge("t", [READ_WEB, WRITE_WEB]) == [False, False]
    assert (TRUSTING.enabled, REFUSING.enabled) == (False, True)
    await require(TRUSTING, call(""), WRITE_WEB)


async def test_a_refusal_names_the_right() -> None:
    """In Consul's form; without a name for what has none."""
    with pytest.raises(CallError, match="lacks permission 'service:write' on \"web\"") as caught:
        await require(REFUSING, call(), WRITE_WEB)
    assert caught.value.status == 403
    with pytest.raises(CallError, match=r"lacks permission 'operator:write'$"):
        await require(REFUSING, call(), Ask("operator", "", "write"))


async def test_the_own_catalog_judges_by_token() -> None:
    """Each ask by itself."""

    class Judge:
        def __init__(self, token: str) -> None:
            self.token = token

        def allows(self, resource: str, name: str, access: str) -> bool:
            return (self.token, resource, name, access) == ("t", "service", "web", "read")

    rights = InProcess(Judge)
    assert await rights.judge("t", [READ_WEB, WRITE_WEB]) == [True, False]
    assert await rights.judge("x", [READ_WEB]) == [False]


async def test_a_distant_catalog_is_asked_with_the_callers_token() -> None:
    """All asks in one call."""
    catalog = Catalog()
    asks: Sequence[Ask] = [READ_WEB, WRITE_WEB]
    assert await Forwarded(catalog).judge("t", asks) == [True, False]
    assert catalog.asked == [
        (
            "POST",
            "/v1/internal/acl/authorize",
            (("x-consul-token", "t"),),
            [
                {"Resource": "service", "Segment": "web", "Access": "read"},
                {"Resource": "service", "Segment": "web", "Access": "write"},
            ],
        )
    ]


@pytest.mark.parametrize(
    ("token", "catalog"),
    [
        ("", Catalog()),
        ("t", Catalog(404, b"404 page not found")),
        ("t", Catalog(200, b"{")),
        ("t", Catalog(200, b"[]")),
        ("t", Catalog(200, b'[{"Allow":true}]')),
    ],
)
async def test_what_cannot_be_judged_is_denied(token: str, catalog: Catalog) -> None:
    """No token, no such endpoint, an odd answer, too few verdicts."""
    assert await Forwarded(catalog).judge(token, [READ_WEB, WRITE_WEB]) == [False, False]
    assert await Forwarded(catalog).judge(token, []) == []


async def test_a_catalog_that_is_away_is_said() -> None:
    """So that nobody takes an outage for a missing right."""
    with pytest.raises(CallError) as caught:
        await Forwarded(Catalog(0)).judge("t", [READ_WEB])
    assert caught.value.status == 503
