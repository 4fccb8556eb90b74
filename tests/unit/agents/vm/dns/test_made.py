"""The agent's DNS as a whole: a question to the catalog's lists and back, also while the catalog is away."""

import json

import trio

from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.dns.held import FRESH_S
from agents.vm.dns.made import make_names
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.query import Rcode, Type
from tests.fakes.dns_asker import Heard, ask, hear

ROW = {"Node": {"Node": "n1", "Address": "10.0.0.1"}, "Service": {"Service": "web", "Port": 80}, "Checks": []}


class FakeCatalog:
    """Knows one service, unless it is away."""

    def __init__(self) -> None:
        self.away = False

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise CatalogAwayError("nobody there")
        rows = [ROW] if target == "/v1/health/service/web" else []
        return Passed(200, (), json.dumps(rows).encode())


async def test_answers_outlive_the_catalog(autojump_clock: trio.abc.Clock) -> None:
    """What was asked before is answered as it was; what was not is SERVFAIL, never NXDOMAIN."""
    catalog = FakeCatalog()
    server = make_names(DnsSettings(datacenter="dc7"), catalog, {})

    async def heard(name: str, kind: Type = Type.A) -> Heard:
        return hear(await server.answer(ask(name, kind), over_tcp=False) or b"")

    assert (await heard("web.service.dc7.consul")).data == ["10.0.0.1"]
    assert (await heard("nope.service.consul")).rcode == Rcode.NXDOMAIN
    catalog.away = True
    await trio.sleep(600 * FRESH_S)
    assert (await heard("web.service.consul", Type.SRV)).data == ["1 1 80 n1.node.dc7.consul."]
    assert (await heard("other.service.consul")).rcode == Rcode.SERVFAIL
    catalog.away = False
    await trio.sleep(600)
    assert (await heard("other.service.consul")).rcode == Rcode.NXDOMAIN
