"""Blocking queries to the letter (reference: blocking-query semantics, measured traps), over a real socket."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.fakes.catalog_site import Site

QUIET_S = 0.15
"""How long a query must sleep to count as not woken; wake-ups take a few milliseconds."""

WAKE_S = 5.0
"""How long a wake-up may take on a busy machine before it counts as none."""


def service(name: str, **fields: Any) -> dict[str, Any]:
    return {"Service": {"Service": name, **fields}}


async def until_parked(site: Site) -> None:
    """Return once a query is parked; there is no event to wait for, since nothing happens then."""
    with trio.fail_after(5):
        while not len(site.api.parking):  # noqa: ASYNC110 - see above
            await trio.sleep(0.001)


async def woken(
    site: Site, path: str, act: Callable[[], Awaitable[Any]], index: int | None = None, *, quiet: bool = False
) -> int | None:
    """Block on `path`, act, and return the index of the answer; None if the query slept on. `quiet`: it should."""
    index = await site.index_of(path) if index is None else index
    answers: list[int] = []
    answered = trio.Event()

    async def block() -> None:
        joint = "&" if "?" in path else "?"
        answer = await site.get(f"{path}{joint}index={index}&wait=30s")
        answers.append(int(answer.headers["X-Consul-Index"]))
        answered.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(block)
        await until_parked(site)
        await act()
        with trio.move_on_after(QUIET_S if quiet else WAKE_S):
            await answered.wait()
        nursery.cancel_scope.cancel()
    return answers[0] if answers else None


@pytest.fixture
async def web(site: Site) -> Site:
    await site.register("n1", **service("web", Port=80))
    await site.register("n1", **service("other"))
    return site


async def test_index_0_and_none_answer_at_once(web: Site) -> None:
    with trio.fail_after(2):
        await web.get("/v1/health/service/web?index=0&wait=60s")
        await web.get("/v1/health/service/web?wait=60s")


async def test_an_old_index_answers_at_once(web: Site) -> None:
    with trio.fail_after(2):
        answer = await web.get("/v1/health/service/web?index=1&wait=60s")
    assert int(answer.headers["X-Consul-Index"]) > 1


@pytest.mark.parametrize("path", ["catalog/service/web", "health/service/web"])
async def test_a_wait_ends_with_the_same_answer_and_index(web: Site, path: str) -> None:
    """The index does not move."""
    index = await web.index_of(f"/v1/{path}")
    start_s = trio.current_time()
    answer = await web.get(f"/v1/{path}?index={index}&wait=200ms")
    took_s = trio.current_time() - start_s
    assert 0.2 <= took_s < 2  # to the letter under virtual time: tests/unit/catalog/api/test_blocking.py
    assert int(answer.headers["X-Consul-Index"]) == index
    assert len(answer.json()) == 1


async def test_who_says_streaming(web: Site) -> None:
    """Blocking health reads say `streaming`, unless `near` sorts them."""
    index = await web.index_of("/v1/health/service/web")
    for parameters, backend in (("", "streaming"), ("&near=n1", "blocking-query")):
        answer = await web.get(f"/v1/health/service/web?index={index}&wait=1ms{parameters}")
        assert answer.headers["X-Consul-Query-Backend"] == backend


CHANGES: dict[str, dict[str, Any]] = {
    "same service, other instance": {"Node": "n2", **service("web", ID="web-2")},
    "other service, same node": {"Node": "n1", **service("other", Port=1)},
    "node meta": {"Node": "n1", "NodeMeta": {"a": "b"}, "SkipNodeUpdate": False},
    "node check": {"Node": "n1", "Check": {"Name": "disk", "Status": "passing"}},
    "service check": {"Node": "n1", "Check": {"Name": "c", "Status": "passing", "ServiceID": "web"}},
    "other service's check": {"Node": "n1", "Check": {"Name": "o", "Status": "passing", "ServiceID": "other"}},
    "other node": {"Node": "n9"},
    "port": {"Node": "n1", **service("web", Port=81)},
}
"""What is registered, one after the other; known nodes are left as they are unless said."""

WAKES = [
    # path, and the changes that wake it (measured traps 5)
    (
        "health/service/web",
        {"same service, other instance", "node meta", "node check", "service check", "port"},
    ),
    ("catalog/service/web", {"same service, other instance", "node meta", "port"}),
    (
        "catalog/services",
        {"same service, other instance", "other service, same node", "port"},
    ),
    ("catalog/nodes", {"same service, other instance", "node meta", "other node"}),
    ("catalog/node/n1", {"other service, same node", "node meta", "port"}),
    ("health/state/any", {"node check", "service check", "other service's check"}),
    ("health/node/n1", {"node check", "service check", "other service's check"}),
    ("connect/intentions", set()),
]


@pytest.mark.parametrize(("path", "wakes"), WAKES, ids=[path for path, _ in WAKES])
async def test_who_wakes(web: Site, path: str, wakes: set[str]) -> None:
    """Each change wakes exactly those whose result could have changed."""
    for name, change in CHANGES.items():
        body = {"Address": "192.0.2.1", "SkipNodeUpdate": True, **change}
        act = partial(web.put, "/v1/catalog/register", body)
        index = await woken(web, f"/v1/{path}", act, quiet=name not in wakes)
        assert (index is not None) == (name in wakes), name


async def test_an_equal_registration_wakes_nobody(web: Site) -> None:
    assert (
        await woken(web, "/v1/health/service/web", lambda: web.register("n1", **service("web", Port=80)), quiet=True)
        is None
    )


async def test_a_check_whose_output_changes_wakes(web: Site) -> None:
    """Measured trap 4."""
    check = {"Name": "c", "Status": "passing", "ServiceID": "web"}
    await web.register("n1", Check=check)
    path = "/v1/health/service/web"
    assert await woken(web, path, lambda: web.register("n1", Check={**check, "Output": "fine"})) is not None


async def test_a_change_that_the_filter_hides_wakes(web: Site) -> None:
    """Plainly filtered reads still wake on any change of the unfiltered set."""
    path = "/v1/health/service/web?filter=Service.Port == 80"
    assert await woken(web, path, lambda: web.register("n2", **service("web", Port=1))) is not None


async def test_a_missing_service_stays_quiet(web: Site) -> None:
    """Also when another service goes; and wakes when it comes."""
    path = "/v1/health/service/missing"
    gone = {"Node": "n1", "ServiceID": "other"}
    assert await woken(web, path, lambda: web.put("/v1/catalog/deregister", gone), quiet=True) is None
    assert await woken(web, path, lambda: web.register("n1", **service("missing"))) is not None


async def test_a_service_that_goes_wakes_and_never_goes_back(web: Site) -> None:
    """The index moves forward when the last instance goes."""
    path = "/v1/health/service/web"
    before = await web.index_of(path)
    after = await woken(web, path, lambda: web.put("/v1/catalog/deregister", {"Node": "n1", "ServiceID": "web"}))
    assert after is not None
    assert after > before
    assert await web.index_of(path) >= after


async def intention(site: Site, source: str, destination: str, action: str) -> None:
    answer = await site.put(
        f"/v1/connect/intentions/exact?source={source}&destination={destination}", {"Action": action}
    )
    assert answer.text == "true", answer.text


async def test_intention_match_sleeps_through_what_does_not_match(site: Site) -> None:
    await intention(site, "web", "api", "allow")
    path = "/v1/connect/intentions/match?by=destination&name=api"
    assert await woken(site, path, lambda: intention(site, "web", "db", "allow"), quiet=True) is None
    assert await woken(site, path, lambda: intention(site, "web", "api", "deny")) is not None
    assert await woken(site, path, lambda: intention(site, "*", "*", "deny")) is not None


async def test_a_match_by_source_sleeps_on_the_same_result_and_returns_a_higher_index(site: Site) -> None:
    """Measured: no spurious wake, but the index at the time-out is the present one."""
    await intention(site, "web", "api", "allow")
    path = "/v1/connect/intentions/match?by=source&name=web"
    before = await site.index_of(path)
    assert await woken(site, path, lambda: intention(site, "x", "y", "allow"), before, quiet=True) is None
    answer = await site.get(f"{path}&index={before}&wait=10ms")
    assert int(answer.headers["X-Consul-Index"]) > before


async def test_a_missing_config_entry_sleeps_and_wakes(site: Site) -> None:
    """404 carries an index; repeats of not found keep sleeping."""
    path = "/v1/config/service-defaults/web"
    answer = await site.get(path)
    assert answer.status_code == 404

    async def write(name: str) -> None:
        body = {"Kind": "service-defaults", "Name": name, "Protocol": "http"}
        assert (await site.put("/v1/config", body)).text == "true"

    assert await woken(site, path, lambda: write("other"), quiet=True) is None
    assert await woken(site, path, lambda: write("web")) is not None


async def test_an_identical_config_entry_moves_the_index_but_not_the_reader(site: Site) -> None:
    """Measured trap 4 and no spurious wake, together: the index is bumped, who blocks on a different result wakes."""
    body = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    await site.put("/v1/config", body)
    before = await site.index_of("/v1/config/service-defaults/web")
    await site.put("/v1/config", body)
    assert await site.index_of("/v1/config/service-defaults/web") > before


async def test_a_stop_answers_everybody_who_waits(site: Site) -> None:
    """Graceful: parked queries get what there is."""
    await site.register("n1", **service("web"))
    index = await site.index_of("/v1/health/service/web")
    answers = []

    async def block() -> None:
        answers.append(await site.get(f"/v1/health/service/web?index={index}&wait=60s"))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(block)
            await until_parked(site)
            site.stop.set()
    assert [answer.status_code for answer in answers] == [200]
