"""A source that is followed: what is wanted of it, how many calls it costs, and what makes it doubtful."""

import pytest
import trio
import trio.testing

from agents.bridge.rules.intentions import IntentionRow
from agents.bridge.rules.marks import Mark
from agents.bridge.source import Source, Wanted
from agents.bridge.target import SourceReplacedError
from tests.fakes.bridge.catalog import FakeCatalog


@pytest.mark.parametrize(
    ("globs", "connect", "name", "expected"),
    [
        ((), False, "web", True),
        ((), False, "consul", False),
        (("*",), False, "consul", False),
        (("consul",), False, "consul", True),
        (("w*", "api"), False, "web", True),
        (("w*", "api"), False, "db", False),
        (("web",), False, "web-sidecar-proxy", False),
        (("web",), True, "web-sidecar-proxy", True),
    ],
)
def test_which_services(globs: tuple[str, ...], connect: bool, name: str, expected: bool) -> None:
    """All but `consul`, or those that a glob names; a sidecar goes with what it stands before."""
    assert Wanted(globs=globs, connect=connect).service(name) is expected


def test_which_intentions() -> None:
    """They go with their destination."""
    row = IntentionRow("web", "api", "allow")
    assert Wanted().intention(row)
    assert Wanted(globs=("a*",)).intention(row)
    assert not Wanted(globs=("web",)).intention(row)


async def following(catalog: FakeCatalog, wanted: Wanted) -> Source:
    return Source(catalog, Mark("b", await catalog.identity()), wanted, lambda: 0.5)


async def test_parked_calls_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """10,000 instances of 500 services, 50 watches: at most 53 calls wait at any time."""
    catalog = FakeCatalog("dc1")
    for number in range(500):
        catalog.services |= {
            (f"n{number % 100}", f"s{number}-{one}"): {"ID": f"s{number}-{one}", "Service": f"s{number}"}
            for one in range(20)
        }
        catalog.nodes[f"n{number % 100}"] = {"Node": f"n{number % 100}", "Address": "192.0.2.1", "Meta": None}
    source = await following(catalog, Wanted(watches=50, globs=("s1*",)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.run)
        await trio.sleep(2)
        assert source.book.size == 111 * 20
        assert 50 <= catalog.most_parked <= 53
        nursery.cancel_scope.cancel()


async def test_doubt_and_trust(autojump_clock: trio.testing.MockClock) -> None:
    """Trusted only a hold time after the last trouble, and only when it was heard and verified."""
    catalog = FakeCatalog("dc1")
    source = await following(catalog, Wanted(hold_s=10))
    await trio.sleep(11)
    assert not source.trusted
    await source.read_all()
    assert source.trusted
    source.doubt("why")
    await source.verify()
    assert not source.trusted
    await trio.sleep(10)
    assert source.trusted


async def test_a_confirmation_of_another_catalog_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    """Who the source is, is asked again before anything is believed to be gone."""
    catalog = FakeCatalog("dc1")
    catalog.add("n1", "web")
    source = await following(catalog, Wanted(hold_s=0))
    await source.read_all()
    catalog.lose_everything()
    catalog.known = FakeCatalog("dc1", "other").known
    with pytest.raises(SourceReplacedError, match="was dc1"):
        await source.confirm(frozenset({"web"}), intentions=False)
    assert source.book.size == 1


async def test_a_confirmation_that_fails_is_doubt(autojump_clock: trio.testing.MockClock) -> None:
    """Errors while asking again mean that nothing is believed."""
    catalog = FakeCatalog("dc1")
    catalog.add("n1", "web")
    source = await following(catalog, Wanted(hold_s=5))
    await source.read_all()
    catalog.away = "500"
    await source.confirm(frozenset({"web"}), intentions=True)
    assert not source.trusted
    assert source.book.size == 1
