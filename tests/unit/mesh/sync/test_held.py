"""What a follower holds between two calls."""

import msgspec

from mesh.model.chain import Chain, Leg, Route, Target
from mesh.model.endpoint import Endpoint, EndpointSet
from mesh.model.intention import IntentionSet
from mesh.model.snapshot import MeshSettings, Roots
from mesh.sync.follow import ProxyPlan
from mesh.sync.held import Holding
from mesh.wire.sync import MAX_WANTS, Refusal, Resource, SyncResponse, Want

PLAN = ProxyPlan("web", "vm", ("api",))
ROOTS = Roots("test.linkspan", 1)


def chain(*services: str) -> Chain:
    """A chain of `api` that leads to these services."""
    legs = tuple(Leg(10000 // len(services), service) for service in services)
    return Chain("api", 1, "http", (Route(legs),), tuple(Target(service, service) for service in services))


def resource(name: str, value: object, version: str = "v1") -> Resource:
    return Resource(name, version, msgspec.Raw(msgspec.json.encode(value)))


def answer(holding: Holding, *changed: Resource, removed: tuple[str, ...] = (), index: int = 1) -> bool:
    """Ask and take one answer."""
    return holding.take(holding.next_request(60.0), SyncResponse(index, changed, removed))


def test_new_wants_are_asked_for_at_once_and_then_waited_for():
    """No long poll as long as something was never asked for; then versions go out with the wait."""
    holding = Holding(PLAN)
    first = holding.next_request(60.0)
    assert first.wait_s == 0
    assert first.wants == (Want("roots"), Want("mesh"), Want("intentions/web"), Want("chain/api"))
    assert answer(holding, resource("chain/api", chain("api"), "c1"))
    assert not holding.is_settled
    assert holding.next_request(60.0).wants[-2:] == (Want("chain/api", "c1"), Want("endpoints/api"))
    assert answer(holding)  # the chain may be shown now
    assert holding.is_settled
    assert holding.next_request(60.0).wait_s == 60.0
    assert not answer(holding)


def test_a_chain_is_shown_when_its_targets_were_asked_for():
    """A new split keeps the old chain in use until the endpoints of its new service had their turn."""
    holding = Holding(PLAN)
    answer(holding, resource("chain/api", chain("api")))
    assert "api" not in holding.snapshot().chains
    answer(holding, resource("endpoints/api", EndpointSet("api", 1)))
    assert holding.snapshot().chains["api"] == chain("api")
    answer(holding, resource("chain/api", chain("api", "api-new"), "v2"), resource("roots", ROOTS))
    assert holding.snapshot().chains["api"] == chain("api")
    assert holding.snapshot().roots == ROOTS  # nothing that security hangs on waits
    answer(holding, resource("endpoints/api-new", EndpointSet("api-new", 1)))
    assert holding.snapshot().chains["api"] == chain("api", "api-new")


def test_what_cannot_be_used_never_replaces_the_last_good():
    """It is refused with its reason in the next call, is not sent again, and the old value stays."""
    holding = Holding(PLAN)
    answer(holding, resource("intentions/web", IntentionSet("web", 1), "v1"))
    assert not answer(holding, Resource("intentions/web", "v2", msgspec.Raw(b"{}")))
    assert holding.snapshot().intentions == IntentionSet("web", 1)
    request = holding.next_request(60.0)
    assert Want("intentions/web", "v2") in request.wants
    assert [(refusal.name, refusal.version) for refusal in request.refused] == [("intentions/web", "v2")]
    assert request.wait_s == 0
    answer(holding)
    assert holding.next_request(60.0).refused == ()
    assert answer(holding, resource("intentions/web", IntentionSet("web", 3), "v3"))


def test_removed_is_gone_but_roots_and_settings_stay():
    """Removed intentions are missing, so that the proxy denies; losing the roots can only be a fault."""
    holding = Holding(PLAN)
    answer(
        holding,
        resource("intentions/web", IntentionSet("web", 1)),
        resource("roots", ROOTS),
        resource("mesh", MeshSettings("dc1", "test.linkspan")),
    )
    assert answer(holding, removed=("intentions/web", "roots", "mesh", "never/asked"))
    snapshot = holding.snapshot()
    assert snapshot.intentions is None
    assert snapshot.roots == ROOTS
    assert snapshot.mesh is not None


def test_what_is_not_wanted_any_more_is_forgotten():
    """A service that left a chain leaves the snapshot, and is asked for anew when it comes back."""
    holding = Holding(PLAN)
    answer(holding, resource("chain/api", chain("api", "old")))
    answer(
        holding, resource("endpoints/old", EndpointSet("old", 1, (Endpoint("old", "o", "n", "10.0.0.1", 1, "k8s"),)))
    )
    assert "gateways/k8s" in holding.wants
    answer(holding, resource("chain/api", chain("api"), "v2"))
    assert "endpoints/old" not in holding.wants
    assert "gateways/k8s" not in holding.wants
    assert dict(holding.snapshot().endpoints) == {}
    answer(holding, resource("chain/api", chain("api", "old"), "v3"))
    assert Want("endpoints/old") in holding.next_request(60.0).wants


def test_what_was_never_asked_for_is_ignored():
    """An answer cannot plant resources."""
    holding = Holding(PLAN)
    assert not answer(
        holding,
        resource("endpoints/other", EndpointSet("other", 1)),
        resource("intentions/api", IntentionSet("api", 1)),
    )
    assert holding.resources() == ()


def test_a_restart_goes_on_where_it_ended():
    """What was kept is shown at once and only news are asked for; what no longer fits is left out."""
    before = Holding(PLAN)
    answer(before, resource("chain/api", chain("api"), "c7"), resource("roots", ROOTS, "r7"))
    answer(before, resource("endpoints/api", EndpointSet("api", 1), "e7"))
    after = Holding(PLAN)
    after.restore((*before.resources(), Resource("mesh", "m7", msgspec.Raw(b"[]"))))
    assert after.snapshot() == before.snapshot()
    request = after.next_request(60.0)
    assert Want("endpoints/api", "e7") in request.wants
    assert request.refused == ()


def test_the_index_never_goes_back():
    """An answer of a replica that lags does not turn back what is shown as fresh."""
    holding = Holding(PLAN)
    answer(holding, index=9)
    answer(holding, index=4)
    assert holding.index == 9


def test_wants_are_bounded():
    """More than the protocol's bound are cut off, never the first ones."""
    holding = Holding(ProxyPlan("web", "vm", tuple(f"u{number}" for number in range(MAX_WANTS))))
    wants = holding.wants
    assert len(wants) == MAX_WANTS
    assert holding.left_out == 3
    assert wants[:3] == ("roots", "mesh", "intentions/web")


def test_refusals_are_values():
    """A refusal says name, version and reason."""
    holding = Holding(PLAN)
    answer(holding, Resource("roots", "v2", msgspec.Raw(b"{}")))
    assert isinstance(holding.refusals[0], Refusal)
    assert "roots" in holding.refusals[0].reason
