"""Another node's health, as the catalog tells it."""

import msgspec
import pytest
import trio

from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.checks.remote import NoRemote, RemoteAwayError, RemoteCheck, RemoteWatch, worst_of
from agents.vm.definition.values import AliasProbe
from mesh.model.endpoint import Health

PROBE = AliasProbe("db", "n 2")


class Catalog:
    """Answers with what it was given, and keeps what it was asked."""

    def __init__(self, status: int, body: bytes, index: str = "7") -> None:
        self.answer = Passed(status, (("X-Consul-Index", index),), body)
        self.asked: list[tuple[str, Headers]] = []

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        assert (method, body) == ("GET", b"")
        self.asked.append((target, headers))
        if self.answer.status == 0:
            raise CatalogAwayError("gone")
        return self.answer


async def test_the_first_look_and_the_next() -> None:
    """At once, then past the index; the token goes along."""
    checks = [
        {"Name": "serf", "Status": "passing", "ServiceID": ""},
        {"Name": "c", "Status": "warning", "Output": "o", "ServiceID": "db"},
    ]
    catalog = Catalog(200, msgspec.json.encode(checks))
    index, result = await RemoteWatch(catalog).look(PROBE, "secret", 0)
    assert (index, result.status, result.output) == (7, Health.WARNING, "Aliased check 'c' warning: o")
    await RemoteWatch(catalog).look(PROBE, "", 7)
    assert catalog.asked == [
        ("/v1/health/node/n%202", (("x-consul-token", "secret"),)),
        ("/v1/health/node/n%202?index=7&wait=60s", ()),
    ]


@pytest.mark.parametrize(("status", "body"), [(403, b"Permission denied"), (200, b"{"), (0, b"")])
async def test_a_catalog_that_cannot_say(status: int, body: bytes) -> None:
    """Is an error of its own, so that the check can say so."""
    with pytest.raises(RemoteAwayError):
        await RemoteWatch(Catalog(status, body)).look(PROBE, "", 0)
    with pytest.raises(RemoteAwayError):
        await NoRemote().look(PROBE, "", 0)


def test_the_worst_counts() -> None:
    """The service's checks and the node's; other services' do not."""
    serf = RemoteCheck("serf", Health.CRITICAL, "dead")
    other = RemoteCheck("x", Health.CRITICAL, "", "web")
    own = RemoteCheck("c", Health.WARNING, "", "db")
    assert worst_of(PROBE, [serf, own]).status is Health.CRITICAL
    assert worst_of(PROBE, [own, other]).status is Health.WARNING
    assert worst_of(PROBE, [other]).output == "No checks found."
    assert worst_of(PROBE, [RemoteCheck("c", Health.PASSING)]).output == "All checks passing."


class Nodes(Catalog):
    """A catalog whose node has no checks."""

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        if target.startswith("/v1/health/node/"):
            return Passed(200, (), b"[]")
        return await super().__call__(method, target, headers, body)


@pytest.mark.parametrize(
    ("probe", "status", "node", "health", "text"),
    [
        (PROBE, 200, b'{"Node": {}, "Services": {"db": {}}}', Health.PASSING, "No checks found."),
        (
            PROBE,
            200,
            b'{"Node": {}, "Services": {"web": {}}}',
            Health.CRITICAL,
            "Service db could not be found on node n 2.",
        ),
        (PROBE, 200, b"null", Health.CRITICAL, "Service db could not be found on node n 2."),
        (PROBE, 404, b"", Health.CRITICAL, "Service db could not be found on node n 2."),
        (AliasProbe(node="n2"), 200, b'{"Node": {}, "Services": {}}', Health.PASSING, "No checks found."),
        (AliasProbe(node="n2"), 200, b"null", Health.CRITICAL, "Node n2 is not in the catalog."),
    ],
)
async def test_what_is_not_there_is_critical(
    probe: AliasProbe, status: int, node: bytes, health: Health, text: str
) -> None:
    """A service without checks is there all the same."""
    _, result = await RemoteWatch(Nodes(status, node)).look(probe, "", 0)
    assert (result.status, result.output) == (health, text)
