"""Routing: first match, weighted legs, rewrites that stay canonical, header edits."""

from typing import Any

import pytest

from mesh.decide.authorise import permit_local_app
from mesh.decide.match import Fields
from mesh.decide.route import (
    ChainError,
    RewriteError,
    Router,
    apply_edit,
    compile_chain,
    compile_edit,
    pick_leg,
)
from mesh.model.chain import Chain, HeaderEdit, HeaderRule, Leg, Route, RouteMatch, Target
from mesh.model.snapshot import Local

PERMIT = permit_local_app(Local("web", "vm", "dc1", "a1.consul"))
TARGETS = (Target("v1", "api", failover=("v2",)), Target("v2", "api", subset="v2"))
WHOLE = (Leg(10_000, "v1"),)
LAST = Route(WHOLE)


def router(*routes: Route, protocol: str = "http") -> Router:
    return compile_chain(Chain("api", 3, protocol, routes, TARGETS))


def taken(
    match: RouteMatch, method: bytes = b"GET", path: bytes = b"/", query: bytes = b"", fields: Fields = ()
) -> bool:
    """Whether a request takes the first route rather than the closing one."""
    compiled = router(Route(WHOLE, match), LAST)
    return compiled.route(PERMIT, method, path, query, fields) is compiled.routes[0]


@pytest.mark.parametrize(
    ("match", "request_parts", "expected"),
    [
        (RouteMatch(path_exact="/a"), {"path": b"/a"}, True),
        (RouteMatch(path_exact="/a"), {"path": b"/A"}, False),
        (RouteMatch(path_exact="/a", case_insensitive=True), {"path": b"/A"}, True),
        (RouteMatch(path_prefix="/a"), {"path": b"/abc"}, True),
        (RouteMatch(path_regex="/[0-9]+"), {"path": b"/12"}, True),
        (RouteMatch(path_regex="/[0-9]+"), {"path": b"/12/"}, False),
        (RouteMatch(methods=("GET", "PUT")), {"method": b"PUT"}, True),
        (RouteMatch(methods=("GET",)), {"method": b"POST"}, False),
        (RouteMatch(headers=(HeaderRule("X-Debug", exact="1"),)), {"fields": ((b"x-debug", b"1"),)}, True),
        (RouteMatch(headers=(HeaderRule("x-debug", exact="1"),)), {}, False),
        (RouteMatch(headers=(HeaderRule("x-debug", present=True, invert=True),)), {}, True),
        (RouteMatch(query=(HeaderRule("v", exact="a b"),)), {"query": b"?x=1&v=a%20b&v=2"}, True),
        (RouteMatch(query=(HeaderRule("v", exact="2"),)), {"query": b"v=1&v=2"}, False),
        (RouteMatch(query=(HeaderRule("v", present=True),)), {"query": b"?v"}, True),
        (RouteMatch(query=(HeaderRule("v", present=True),)), {}, False),
        (RouteMatch(query=(HeaderRule("v", exact="1", invert=True),)), {}, True),
        (RouteMatch(query=(HeaderRule("v", present=True),)), {"query": b"?" + b"v=1&" * 200}, False),
        (RouteMatch(path_prefix="/a", methods=("GET",)), {"path": b"/a", "method": b"POST"}, False),
    ],
)
def test_all_that_a_route_asks_must_hold(match: RouteMatch, request_parts: dict[str, Any], expected: object) -> None:
    """Path, methods, headers and query are joined by and."""
    assert expected == taken(match, **request_parts)


def test_the_first_matching_route_wins_and_the_last_catches_all() -> None:
    """Routes are tried in order."""
    compiled = router(Route(WHOLE, RouteMatch(path_prefix="/a")), Route(WHOLE, RouteMatch(path_prefix="/ab")), LAST)
    assert compiled.routes[0] is compiled.route(PERMIT, b"GET", b"/ab", b"", ())
    assert compiled.routes[2] is compiled.route(PERMIT, b"GET", b"/b", b"", ())
    only = router(LAST)
    assert only.routes[0] is only.route(PERMIT, b"GET", b"/b", b"", ())
    assert only.routes[0] is only.route(PERMIT, b"OPTIONS", b"*", b"", ())


def test_a_stream_takes_the_closing_route() -> None:
    """A TCP chain has one route that asks nothing."""
    tcp = router(LAST, protocol="tcp")
    assert not tcp.is_http
    assert router(LAST, protocol="grpc").is_http
    assert tcp.route_stream(PERMIT).legs[0].target.service == "api"
    assert tcp.route_stream(PERMIT).legs[0].failover[0].id == "v2"


@pytest.mark.parametrize(
    ("draw", "target"), [(0.0, "v1"), (0.8999, "v1"), (0.9, "v2"), (0.99999999, "v2"), (0.5, "v1")]
)
def test_legs_are_weighted_in_hundredths_of_a_percent(draw: float, target: str) -> None:
    """A draw falls on the leg whose share it lies in."""
    plan = router(Route((Leg(9_000, "v1"), Leg(1_000, "v2")))).routes[0]
    assert target == pick_leg(plan, draw).target.id


def test_a_leg_without_weight_is_never_picked() -> None:
    """Zero first, last or in the middle gets nothing."""
    plan = router(Route((Leg(0, "v1"), Leg(10_000, "v2"), Leg(0, "v1")))).routes[0]
    assert {"v2"} == {pick_leg(plan, draw / 1000).target.id for draw in range(1000)}


@pytest.mark.parametrize(
    ("match", "rewrite", "path", "expected"),
    [
        (RouteMatch(path_prefix="/v1"), "", b"/v1/x", b"/v1/x"),
        (RouteMatch(path_prefix="/v1"), "/", b"/v1/x", b"/x"),
        (RouteMatch(path_prefix="/v1/"), "/", b"/v1/x", b"/x"),
        (RouteMatch(path_prefix="/v1/"), "/api/", b"/v1/x/", b"/api/x/"),
        (RouteMatch(path_prefix="/v1"), "/api", b"/v1", b"/api"),
        (RouteMatch(path_exact="/v1"), "/api", b"/v1", b"/api"),
        (RouteMatch(path_regex="/v./.*"), "/api", b"/v1/x", b"/api"),
        (RouteMatch(), "/api/", b"/v1/x", b"/api/v1/x"),
    ],
)
def test_the_rewrite_replaces_what_matched(match: RouteMatch, rewrite: str, path: bytes, expected: object) -> None:
    """A prefix is replaced, an exact or regex match whole."""
    assert expected == router(Route(WHOLE, match, prefix_rewrite=rewrite), LAST).routes[0].rewrite(path)


@pytest.mark.parametrize("path", [b"/x../admin", b"/x./a", b"/x..;a/b", b"/x../"])
def test_a_rewrite_never_makes_a_dot_segment(path: bytes) -> None:
    """A prefix that ends within a segment must not turn its rest into a way upwards."""
    plan = router(Route(WHOLE, RouteMatch(path_prefix="/x"), prefix_rewrite="/"), LAST).routes[0]
    with pytest.raises(RewriteError):
        plan.rewrite(path)


@pytest.mark.parametrize(
    "routes",
    [
        (),
        (Route(WHOLE, RouteMatch(path_prefix="/a")),),
        (Route((Leg(9_999, "v1"),)),),
        (Route((Leg(11_000, "v1"), Leg(-1_000, "v2"))),),
        (Route(()),),
        (Route((Leg(10_000, "nowhere"),)),),
        (Route(WHOLE, RouteMatch(path_regex="(")), LAST),
        (Route(WHOLE, RouteMatch(headers=(HeaderRule("a"),))), LAST),
        (Route(WHOLE, request_headers=HeaderEdit(set=(("Host", "x"),))),),
        (Route(WHOLE, request_headers=HeaderEdit(add=(("x-linkspan-a", "x"),))),),
        (Route(WHOLE, request_headers=HeaderEdit(remove=("a b",))),),
        (Route(WHOLE, response_headers=HeaderEdit(set=(("a", "x\r\ny"),))),),
        (Route((Leg(10_000, "v1", request_headers=HeaderEdit(add=(("content-length", "1"),))),)),),
    ],
)
def test_a_chain_that_cannot_be_used_is_refused(routes: tuple[Route, ...]) -> None:
    """The resource is refused as a whole, with a text."""
    with pytest.raises(ChainError, match=r"."):
        router(*routes)


def test_a_chain_with_an_unknown_failover_is_refused() -> None:
    """Fail-over names targets of the same chain."""
    with pytest.raises(ChainError):
        compile_chain(Chain("api", 1, "tcp", (LAST,), (Target("v1", "api", failover=("gone",)),)))


def test_edits_add_set_and_remove() -> None:
    """Set replaces all lines and what is added, remove takes all, the rest keeps its order."""
    edit = HeaderEdit(add=(("B", "3"), ("c", "0")), set=(("C", "9"),), remove=("A", "d"))
    fields = [(b"a", b"1"), (b"b", b"2"), (b"c", b"4"), (b"a", b"5")]
    assert apply_edit(fields, edit) == [(b"b", b"2"), (b"b", b"3"), (b"c", b"9")]
    assert len(fields) == 4
    assert compile_edit(HeaderEdit()) is None
    assert apply_edit([(b"a", b"1")], HeaderEdit(add=(("a", "2"),))) == [(b"a", b"1"), (b"a", b"2")]


def test_a_legs_edits_come_before_its_routes() -> None:
    """As in Envoy, the closer one first, so that the route has the last word."""
    leg = Leg(10_000, "v1", HeaderEdit(set=(("a", "leg"),)), HeaderEdit(set=(("b", "leg"),)))
    route = Route((leg,), request_headers=HeaderEdit(set=(("a", "route"),)))
    plan = router(route).routes[0].legs[0]
    assert plan.edit_request([]) == [(b"a", b"route")]
    assert plan.edit_response([]) == [(b"b", b"leg")]
    fields = [(b"x", b"y")]
    assert fields is router(LAST).routes[0].legs[0].edit_request(fields)
