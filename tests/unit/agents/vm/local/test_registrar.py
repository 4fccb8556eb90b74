"""The registrar over the catalog's HTTP API: bodies out, answers sorted into kinds of trouble."""

import json

import pytest

from agents.vm.local.reconcile import Deregister, Register
from agents.vm.local.registrar import CatalogRegistrar, ForbiddenError, RefusedError, RegistrarError


class FakeCatalog:
    """Answers from a table of (method, target)."""

    def __init__(self, answers: dict[tuple[str, str], tuple[int, bytes]]) -> None:
        self.answers = answers
        self.calls: list[tuple[str, str, bytes]] = []
        self.tokens: list[str] = []

    async def __call__(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        self.calls.append((method, target, body))
        self.tokens.append(token)
        return self.answers[method, target]


async def test_steps_become_consuls_calls() -> None:
    """Register and deregister with their bodies as JSON."""
    catalog = FakeCatalog({("PUT", f"/v1/catalog/{verb}"): (200, b"true") for verb in ("register", "deregister")})
    registrar = CatalogRegistrar(catalog)
    await registrar.apply(Register({"Node": "vm1"}))
    await registrar.apply(Deregister({"Node": "vm1", "ServiceID": "x"}, token="theirs"))
    assert catalog.tokens == ["", "theirs"], "what was registered with a token is told with it"
    assert [(target, json.loads(body)) for _, target, body in catalog.calls] == [
        ("/v1/catalog/register", {"Node": "vm1"}),
        ("/v1/catalog/deregister", {"Node": "vm1", "ServiceID": "x"}),
    ]


@pytest.mark.parametrize(("status", "kind"), [(403, ForbiddenError), (500, RefusedError), (503, RegistrarError)])
async def test_a_refusal_is_told_from_an_outage(status: int, kind: type[Exception]) -> None:
    """Busy or away is worth a retry of everything; a refusal is about this one registration."""
    registrar = CatalogRegistrar(FakeCatalog({("PUT", "/v1/catalog/register"): (status, b"Permission denied: why")}))
    with pytest.raises(RegistrarError, match="Permission denied: why") as caught:
        await registrar.apply(Register({}))
    assert type(caught.value) is kind


async def test_what_the_catalog_holds_is_keyed_by_id() -> None:
    """Node, services and checks; an unknown node holds nothing."""
    node = {"Node": {"Node": "vm 1", "Address": "a"}, "Services": {"web": {"Service": "web"}}}
    catalog = FakeCatalog(
        {
            ("GET", "/v1/catalog/node/vm%201"): (200, json.dumps(node).encode()),
            ("GET", "/v1/health/node/vm%201"): (200, b'[{"CheckID": "serfHealth"}]'),
            ("GET", "/v1/catalog/node/new"): (200, b"null"),
            ("GET", "/v1/health/node/new"): (404, b""),
            ("GET", "/v1/catalog/node/odd"): (200, b"[1]"),
        }
    )
    registrar = CatalogRegistrar(catalog)
    held = await registrar.held("vm 1")
    assert (held.node, list(held.services), list(held.checks)) == (node["Node"], ["web"], ["serfHealth"])
    assert (await registrar.held("new")).node is None
    with pytest.raises(RegistrarError, match="cannot be read"):
        await registrar.held("odd")
