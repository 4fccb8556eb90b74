"""Balancing: P2C on peak EWMA, weights, health, subsets, networks, panic."""

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from mesh.decide.authorise import permit_local_app
from mesh.decide.balance import (
    Candidate,
    Load,
    Pool,
    carry_over,
    choose_target,
    eligible,
    endpoint_key,
    healthy,
    penalised_rtt_s,
    pick_endpoint,
)
from mesh.model.chain import Target
from mesh.model.endpoint import Endpoint, EndpointSet, Health
from mesh.model.snapshot import Local

PERMIT = permit_local_app(Local("web", "vm", "dc1", "a1.consul"))
ANY_TARGET = Target("api", "api", only_passing=False)


def endpoint(name: str, network: str = "vm", **settings: Any) -> Endpoint:
    return Endpoint("api", name, f"node-{name}", "10.0.0.1", 20000, network, **settings)


def candidate(name: str, network: str = "vm", **settings: Any) -> Candidate:
    return Candidate(endpoint(name, network, **settings), 0.0)


def names(candidates: Iterable[Candidate]) -> list[str]:
    return [one.endpoint.instance for one in candidates]


def test_a_new_endpoint_counts_as_thirty_milliseconds() -> None:
    """Load is EWMA times (pending + 1), decaying with time and never read to nothing."""
    load = Load(100.0)
    assert load.score(100.0) == 0.030
    load.started(100.0)
    assert load.score(100.0) == 0.060
    assert load.score(110.0) == pytest.approx(0.060 / 2.718281828)
    assert load.score(100_000.0) == 0.0002


def test_a_peak_replaces_and_a_better_sample_mixes_in() -> None:
    """A sample above the decayed value counts at once, one below moves it by elapsed time."""
    load = Load(0.0)
    load.finished(0.0, 0.5)
    assert load.score(0.0) == 0.5
    load.finished(10.0, 0.1)
    kept = 0.36787944
    assert load.score(10.0) == pytest.approx(0.5 * kept + 0.1 * (1 - kept))
    load.finished(5.0, 0.0)
    assert load.score(10.0) == pytest.approx(0.5 * kept + 0.1 * (1 - kept)), "a clock that goes back changes nothing"


def test_failures_are_slow_and_pending_never_goes_negative() -> None:
    """A failed attempt counts as 5 s, or its own time when longer; a stream without latency only frees its place."""
    load = Load(0.0)
    load.finished(0.0, None)
    assert (load.pending, load.score(0.0)) == (0, 0.030)
    load.finished(0.0, 0.001, failed=True)
    assert load.score(0.0) == 5.0
    load.finished(0.0, 9.0, failed=True)
    assert load.score(0.0) == 9.0
    fresh = Load(0.0)
    fresh.finished(0.0, None, failed=True)
    assert fresh.score(0.0) == 5.0


@pytest.mark.parametrize(
    ("status", "retry_after_s", "expected"),
    [(200, 60.0, 0.01), (500, None, 0.01), (429, None, 5.0), (503, 2.0, 5.0), (503, 60.0, 60.0), (429, 9999.0, 300.0)],
)
def test_refusals_are_slow(status: int, retry_after_s: float | None, expected: object) -> None:
    """A fast 429 or 503 must not look best."""
    assert expected == penalised_rtt_s(status, 0.01, retry_after_s)


def test_the_less_loaded_of_two_wins() -> None:
    """Two different candidates are drawn; the lower load is picked whichever was drawn first."""
    pool = Pool([candidate("a"), candidate("b")], ANY_TARGET, "vm")
    busy = pool.pick(PERMIT, 0.0, 0.0, 0.0)
    busy.load.started(0.0)
    for draw in range(10):
        assert busy is not pool.pick(PERMIT, draw / 10, draw / 10, 0.0)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_draws_cover_every_pair_evenly(count: int) -> None:
    """At equal loads everyone gets an equal share, and the two drawn are never the same."""
    pool = Pool([candidate(str(number)) for number in range(count)], ANY_TARGET, "vm")
    grid = [(first + 0.5) / 60 for first in range(60)]
    shares = Counter(pool.pick(PERMIT, one, two, 0.0) for one in grid for two in grid)
    assert count == len(shares)
    assert max(shares.values()) - min(shares.values()) < 0.1 * 3600


@pytest.mark.parametrize("picker", ["pool", "function"])
def test_weights_are_the_shares_at_equal_load(picker: str) -> None:
    """90 to 10 is 90 to 10, with two endpoints as with many."""
    members = [candidate("a", weight=9), candidate("b", weight=1)]
    pool = Pool(members, ANY_TARGET, "vm")
    draw = random.Random(7).random
    shares = Counter()
    for _ in range(20_000):
        if picker == "pool":
            shares[pool.pick(PERMIT, draw(), draw(), 0.0).endpoint.instance] += 1
        else:
            shares[pick_endpoint(PERMIT, members, draw(), draw(), 0.0).endpoint.instance] += 1
    assert 0.88 < shares["a"] / 20_000 < 0.92


def test_p2c_avoids_a_slow_endpoint() -> None:
    """One of ten that is slow gets far less than its share."""
    members = [candidate(str(number)) for number in range(10)]
    members[0].load.finished(0.0, 2.0)
    pool = Pool(members, ANY_TARGET, "vm")
    draw = random.Random(3).random
    shares = Counter(pool.pick(PERMIT, draw(), draw(), 0.0).endpoint.instance for _ in range(2000))
    assert shares["0"] == 0


def test_none_to_pick() -> None:
    """An empty pool picks nothing and says so; a single endpoint needs no draw."""
    assert Pool([], ANY_TARGET, "vm").pick(PERMIT, 0.5, 0.5, 0.0) is None
    assert not Pool([], ANY_TARGET, "vm").available(0.0)
    assert pick_endpoint(PERMIT, [], 0.5, 0.5, 0.0) is None
    one = candidate("a")
    assert one is Pool([one], ANY_TARGET, "vm").pick(PERMIT, 0.99, 0.99, 0.0)
    assert one is pick_endpoint(PERMIT, [one], 0.99, 0.99, 0.0)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, ["pass", "warn", "v2"]),
        (ANY_TARGET, ["pass", "warn", "v2"]),
        (Target("api", "api", only_passing=True), ["pass", "v2"]),
        (Target("api", "api", subset="v2", only_passing=False), ["v2"]),
        (Target("api", "api", subset="v3"), []),
    ],
)
def test_health_weight_and_subset(target: Target | None, expected: object) -> None:
    """Warning is healthy unless only passing is; critical, weight 0 and other subsets never are."""
    members = [
        candidate("pass"),
        candidate("warn", health=Health.WARNING),
        candidate("dead", health=Health.CRITICAL),
        candidate("off", weight=0),
        candidate("v2", subsets=("v2",)),
    ]
    assert expected == names(healthy(members, target))


def test_the_own_network_comes_first() -> None:
    """Others are used when nothing healthy is left here, and only where a gateway leads there."""
    near, far, lost = candidate("near"), candidate("far", "k8s"), candidate("lost", "moon")
    members = [far, lost, near]
    assert names(eligible(members, ANY_TARGET, "vm", {"k8s"}, 0.0)) == ["near"]
    near.endpoint = endpoint("near", health=Health.CRITICAL)
    assert names(eligible(members, ANY_TARGET, "vm", {"k8s"}, 0.0)) == ["far"]
    assert names(eligible(members, ANY_TARGET, "vm", (), 0.0)) == []


def test_an_ejected_own_network_fails_over_and_comes_back() -> None:
    """All of the own network ejected: others; none elsewhere either: ejection is ignored rather than nobody asked."""
    near, far = candidate("near"), candidate("far", "k8s")
    near.ejected_until_s = 30.0
    assert names(eligible([near, far], ANY_TARGET, "vm", {"k8s"}, 1.0)) == ["far"]
    assert names(eligible([near, far], ANY_TARGET, "vm", {"k8s"}, 30.0)) == ["near"]
    far.ejected_until_s = 30.0
    assert names(eligible([near, far], ANY_TARGET, "vm", {"k8s"}, 1.0)) == ["near"]


@pytest.mark.parametrize(("ejected", "expected"), [(1, 3), (2, 2), (3, 4)])
def test_panic_below_half(ejected: int, expected: object) -> None:
    """With half or more standing the ejected stay out; with fewer, ejection is ignored."""
    members = [candidate(str(number)) for number in range(4)]
    for one in members[:ejected]:
        one.ejected_until_s = 30.0
    assert expected == len(eligible(members, ANY_TARGET, "vm", (), 0.0))


def test_panic_never_uses_a_critical_endpoint() -> None:
    """Panic is about our own observations, not about failed health checks."""
    up, down = candidate("up"), candidate("down", health=Health.CRITICAL)
    up.ejected_until_s = 30.0
    assert names(eligible([up, down], ANY_TARGET, "vm", (), 0.0)) == ["up"]


def test_a_pool_notices_the_end_of_an_ejection() -> None:
    """After `changed` the ejected one is out; at its time it is back without being told."""
    one, two = candidate("a"), candidate("b")
    pool = Pool([one, two], ANY_TARGET, "vm")
    assert pool.available(0.0)
    one.ejected_until_s = 30.0
    pool.changed()
    assert {two} == {pool.pick(PERMIT, draw / 10, 0.5, 1.0) for draw in range(10)}
    two.load.started(30.0)
    assert one is pool.pick(PERMIT, 0.0, 0.0, 30.0)


def test_a_retry_goes_elsewhere_when_it_can() -> None:
    """What was tried is avoided as long as there is another."""
    one, two = candidate("a"), candidate("b")
    pool = Pool([one, two], ANY_TARGET, "vm")
    assert {two} == {pool.pick_other(PERMIT, (draw / 10, 0.5), 0.0, {one}) for draw in range(10)}
    assert pool.pick_other(PERMIT, (0.1, 0.5), 0.0, {one, two}) is not None


def test_records_are_carried_over_to_the_next_set() -> None:
    """An endpoint that stays keeps what was learnt, with its new health; gone ones go."""
    first = carry_over({}, EndpointSet("api", 1, (endpoint("a"), endpoint("b"))), 0.0)
    second = carry_over(first, EndpointSet("api", 2, (endpoint("b", health=Health.WARNING), endpoint("c"))), 1.0)
    key = endpoint_key(endpoint("b"))
    assert first[key] is second[key]
    assert second[key].endpoint.health is Health.WARNING
    assert names(second.values()) == ["b", "c"]
    assert carry_over(second, None, 2.0) == {}
    assert "'b' at 10.0.0.1:20000" in repr(second[key])


def test_failover_takes_the_first_available_target() -> None:
    """The target itself when it has an endpoint, else the first that has, else itself again."""
    main, second, third = (Target(name, "api") for name in ("main", "second", "third"))
    assert main is choose_target(main, (second, third), lambda _: True)
    assert third is choose_target(main, (second, third), lambda target: target is third)
    assert main is choose_target(main, (second, third), lambda _: False)
    assert main is choose_target(main, (), lambda _: False)
