"""The processes under attack: open ones and closed ones, shared by a module's tests."""

from collections.abc import Iterator

import pytest

from tests.lab.process import free_port
from tests.system.bad_input.target import Target
from tests.system.dns.site import catalog, dev


@pytest.fixture(scope="module")
def open_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """`linkspan dev`: the agent's API and the catalog's on one port, everybody an operator."""
    with dev(tmp_path_factory.mktemp("dev")) as place:
        target = Target(place)
        target.is_well()
        yield target


@pytest.fixture(scope="module")
def closed_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """`linkspan catalog`, which asks for tokens."""
    with catalog(tmp_path_factory.mktemp("catalog"), f"127.0.0.1:{free_port()}") as place:
        target = Target(place)
        target.is_well()
        yield target


@pytest.fixture(params=["open_target", "closed_target"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each of them."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Target)
    return found
