"""Coordinates are kept for nodes that exist, eight numbers each."""

import msgspec
import pytest

from catalog.api.http.errors import BadRequestError, PermissionDeniedError
from catalog.api.operator.coordinate import CoordinateEndpoints
from catalog.state.changes import Deregister, Register
from catalog.state.records import Node
from tests.fakes.catalog_calls import make_call, open_api, powerless

COORD = {"Adjustment": 0, "Error": 1.5, "Height": 0, "Vec": [0, 0, 0, 0, 0, 0, 0, 1]}


async def test_a_coordinate_is_read_back_while_its_node_is_there() -> None:
    """That of an unknown node is dropped without a word, and with its node it goes."""
    async with open_api() as api:
        coordinates = CoordinateEndpoints(api)
        await coordinates.update(make_call("PUT", body={"Node": "ghost", "Coord": COORD}))
        assert (await coordinates.node(make_call(node="ghost"))).status == 404
        await api.submit(Register(node=Node(node="a", address="192.0.2.1")))
        await coordinates.update(make_call("PUT", body={"node": "a", "coord": COORD}))
        for answer in (await coordinates.node(make_call(node="a")), await coordinates.nodes(make_call())):
            (shown,) = msgspec.json.decode(answer.body)
            assert (shown["Node"], shown["Segment"], shown["Coord"]["Vec"][-1]) == ("a", "", 1)
        hidden = await coordinates.nodes(powerless(make_call()))
        assert hidden.body == b"[]"
        await api.submit(Deregister(node="a"))
        assert (await coordinates.nodes(make_call())).body == b"[]"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Node": "a"},
        {"Node": "a", "Coord": {"Vec": [1]}},
        {"Node": "a", "Coord": COORD, "Segment": "x"},
        {"Node": "a", "Coord": {"Vec": ["x"] * 8}},
    ],
)
async def test_a_bad_update_is_refused(body: object) -> None:
    """With 400."""
    async with open_api() as api:
        with pytest.raises(BadRequestError):
            await CoordinateEndpoints(api).update(make_call("PUT", body=body))


async def test_the_servers_place_is_the_origin_until_it_is_set() -> None:
    """And nobody sees it who may not see the node."""
    async with open_api() as api:
        coordinates = CoordinateEndpoints(api)
        (shown,) = msgspec.json.decode((await coordinates.datacenters(make_call())).body)
        assert set(shown) == {"Datacenter", "Coordinates", "AreaID"}
        assert shown["Coordinates"][0]["Coord"]["Vec"] == [0] * 8
        (hidden,) = msgspec.json.decode((await coordinates.datacenters(powerless(make_call()))).body)
        assert hidden["Coordinates"] == []


async def test_rights() -> None:
    """A node's coordinate is read and written with the node's right."""
    async with open_api() as api:
        coordinates = CoordinateEndpoints(api)
        with pytest.raises(PermissionDeniedError):
            await coordinates.node(powerless(make_call(node="a")))
        with pytest.raises(PermissionDeniedError):
            await coordinates.update(powerless(make_call("PUT", body={"Node": "a", "Coord": COORD})))
