"""What a caller sees: whole, a part, or nothing; what it does not see looks as if it were not there."""

import msgspec

from catalog.access.acl.permissions import Permissions
from catalog.access.acl.rules import parse_rules
from catalog.api.sight import Sight
from catalog.state.records import Check, ServiceInstance
from mesh.model.endpoint import Health
from tests.fakes.catalog_calls import make_call

WEB, DB = ServiceInstance("web", id="web", node="n1"), ServiceInstance("db", id="db", node="n1")
OTHER = ServiceInstance("web", id="web", node="n2")


def sight(rules: str) -> Sight:
    return Sight(msgspec.structs.replace(make_call(), authorizer=Permissions(parse_rules(rules))))


def check(service: str = "", node: str = "n1") -> Check:
    return Check(check_id="c", name="c", status=Health.PASSING, node=node, service_name=service)


ALL = 'node_prefix "" {policy="read"} service_prefix "" {policy="read"}'


def test_who_sees_all_is_not_asked_by_name() -> None:
    seen = sight(ALL)
    rows = [WEB, DB]
    assert seen.whole
    assert seen.instances(rows) is rows
    found = seen.found(rows, ("services",))
    assert (found.partial, found.hidden, found.topics) == (False, False, (("services",),))


def test_an_exception_makes_it_a_part() -> None:
    seen = sight(f'{ALL} service "db" {{policy="deny"}}')
    assert not seen.whole
    assert seen.instances([WEB, DB, OTHER]) == [WEB, OTHER]
    assert (seen.found([], ("services",)).partial, seen.found([], ("services",)).hidden) == (True, True)


def test_an_instance_is_seen_with_its_node() -> None:
    seen = sight('node "n1" {policy="read"} service_prefix "" {policy="read"}')
    assert seen.instances([WEB, OTHER]) == [WEB]
    assert seen.checks([check(), check("web"), check("web", "n2")]) == [check(), check("web")]
    assert not sight('node_prefix "" {policy="read"}').checks([check("web")])


def test_nothing_left_out_is_nothing_hidden() -> None:
    seen = sight('node "n1" {policy="read"} service "web" {policy="read"}')
    assert seen.instances([WEB]) == [WEB]
    assert (seen.found([], ("x",)).hidden, seen.found([], ("x",), hidden=True).hidden) == (False, True)


def test_a_name_that_is_not_seen_is_as_if_it_were_not_there() -> None:
    """Also by its topic: one without rows."""
    found = sight("").unseen(("service", ""), [])
    assert (found.value, found.topics, found.hidden) == ([], (("service", ""),), True)


def test_intentions_have_rules_of_their_own() -> None:
    seen = sight(f'{ALL} service "db" {{policy="read" intentions="deny"}}')
    assert seen.intention("web")
    assert seen.whole
    assert not seen.all_intentions
    assert seen.found([], ("x",), whole=seen.all_intentions).partial
    assert sight(ALL).all_intentions
    assert not seen.intention("db")
