"""The discovery chain compiler: Consul's meaning of router, splitter and resolver, and refusal of contradictions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.compile.chain import ChainError, compile_chain, default_chain
from mesh.decide.regex import compile_regex
from mesh.decide.route import compile_chain as compile_for_proxy
from mesh.model.chain import Balance, Chain, HashOf, HeaderEdit, HeaderRule, Leg, RetryPolicy, RouteMatch
from tests.fakes.config_entries import Entries

DC = "dc1"


HTTP = {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}


def resolver(name: str, *subsets: str, **fields: Any) -> dict[str, Any]:
    return {"Kind": "service-resolver", "Name": name, "Subsets": {key: {} for key in subsets}, **fields}


def splitter(name: str, *splits: tuple[float, str, str]) -> dict[str, Any]:
    parts = [{"Weight": weight, "Service": service, "ServiceSubset": subset} for weight, service, subset in splits]
    return {"Kind": "service-splitter", "Name": name, "Splits": parts}


def router(name: str, *routes: dict[str, Any]) -> dict[str, Any]:
    return {"Kind": "service-router", "Name": name, "Routes": list(routes)}


def compiled(service: str, *bodies: dict[str, Any]) -> Chain:
    """The chain, after making sure that a proxy can use it."""
    chain = compile_chain(Entries(*bodies), service, DC)
    compile_for_proxy(chain)
    return chain


def legs(chain: Chain, route: int = -1) -> list[tuple[int, str]]:
    return [(leg.weight, leg.target) for leg in chain.routes[route].legs]


def target_id(service: str, subset: str = "") -> str:
    return f"{subset}.{service}.default.default.dc1" if subset else f"{service}.default.default.dc1"


def test_default() -> None:
    """A service without entries has one route to itself, over tcp."""
    chain = compiled("web")
    assert chain == default_chain("web", DC, "tcp")
    assert chain.protocol == "tcp"
    assert legs(chain) == [(10_000, target_id("web"))]
    (target,) = chain.targets
    assert (target.service, target.subset, target.datacenter, target.only_passing) == ("web", "", DC, False)


def test_protocol() -> None:
    """service-defaults decide before proxy-defaults, and those before tcp."""
    own = {"Kind": "service-defaults", "Name": "web", "Protocol": "grpc"}
    assert compiled("web", HTTP).protocol == "http"
    assert compiled("web", HTTP, own).protocol == "grpc"
    assert compiled("api", HTTP, own).protocol == "http"


def test_split() -> None:
    """Weights are hundredths of a percent."""
    chain = compiled("web", HTTP, resolver("web", "v1", "v2"), splitter("web", (90, "", "v1"), (10, "", "v2")))
    assert legs(chain) == [(9000, target_id("web", "v1")), (1000, target_id("web", "v2"))]


def test_split_without_share_is_left_out() -> None:
    """A split of weight 0 gets no leg; its target need not be dialled."""
    chain = compiled("web", HTTP, splitter("web", (100, "", ""), (0, "other", "")))
    assert legs(chain) == [(10_000, target_id("web"))]


def test_splitter_of_splitters_is_flat() -> None:
    """Shares of shares multiply, equal targets join, and the sum stays exact."""
    chain = compiled(
        "web",
        HTTP,
        splitter("web", (50, "a", ""), (50, "b", "")),
        splitter("a", (33.33, "a", ""), (66.67, "c", "")),
        splitter("b", (50, "c", ""), (50, "b", "")),
    )
    assert legs(chain) == [
        (1667, target_id("a")),
        (5833, target_id("c")),
        (2500, target_id("b")),
    ]


def test_split_into_a_subset_passes_that_services_splitter_by() -> None:
    """A named subset is resolved at once."""
    chain = compiled("web", HTTP, splitter("web", (100, "a", "v1")), splitter("a", (100, "b", "")), resolver("a", "v1"))
    assert legs(chain) == [(10_000, target_id("a", "v1"))]


def test_split_headers_merge_inwards() -> None:
    """A nested splitter's headers come after the outer one's."""
    outer = {
        "Kind": "service-splitter",
        "Name": "web",
        "Splits": [{"Weight": 100, "Service": "a", "RequestHeaders": {"Set": {"x": "1", "y": "1"}, "Remove": ["q"]}}],
    }
    inner = {
        "Kind": "service-splitter",
        "Name": "a",
        "Splits": [{"Weight": 100, "RequestHeaders": {"Set": {"x": "2"}, "Add": {"z": "3"}}}],
    }
    (leg,) = compiled("web", HTTP, outer, inner).routes[0].legs
    assert leg.request_headers == HeaderEdit((("z", "3"),), (("x", "2"), ("y", "1")), ("q",))


def test_router() -> None:
    """Routes in order, each with its own treatment, and the catch-all last."""
    chain = compiled(
        "web",
        HTTP,
        resolver("web", "v2", RequestTimeout="3s", ConnectTimeout="250ms"),
        router(
            "web",
            {
                "Match": {"HTTP": {"PathPrefix": "/admin", "Methods": ["GET"]}},
                "Destination": {"Service": "admin", "PrefixRewrite": "/", "RequestTimeout": "1m", "IdleTimeout": "-1s"},
            },
            {"Match": {"HTTP": {"PathExact": "/v2"}}, "Destination": {"ServiceSubset": "v2"}},
            {"Match": {"HTTP": {"QueryParam": [{"Name": "q", "Present": True}]}}},
        ),
    )
    admin, second, third, last = chain.routes
    assert admin.match == RouteMatch(path_prefix="/admin", methods=("GET",))
    assert (admin.prefix_rewrite, admin.request_timeout_s, admin.idle_timeout_s) == ("/", 60.0, 0.0)
    assert legs(chain, 0) == [(10_000, target_id("admin"))]
    assert legs(chain, 1) == [(10_000, target_id("web", "v2"))]
    assert second.request_timeout_s == 3.0
    assert third.match.query[0].present
    assert last.match == RouteMatch()
    assert {target.id: target.connect_timeout_s for target in chain.targets} == {
        target_id("admin"): 5.0,
        target_id("web", "v2"): 0.25,
        target_id("web"): 0.25,
    }


def test_route_goes_through_the_splitter() -> None:
    """A route without subset follows its destination's splitter, but not its router."""
    chain = compiled(
        "web",
        HTTP,
        router("web", {"Destination": {"Service": "api"}}),
        router("api", {"Destination": {"Service": "nowhere"}}),
        splitter("api", (50, "a", ""), (50, "b", "")),
    )
    assert legs(chain, 0) == [(5000, target_id("a")), (5000, target_id("b"))]


@pytest.mark.parametrize(
    ("destination", "policy"),
    [
        ({}, RetryPolicy()),
        ({"NumRetries": 4}, RetryPolicy(attempts=4)),
        (
            {"RetryOnConnectFailure": True},
            RetryPolicy(1, on_connect_failure=True, on_reset_before_first_byte=False, status_codes=()),
        ),
        (
            {"RetryOnStatusCodes": [503, 429], "NumRetries": 2},
            RetryPolicy(
                2, on_connect_failure=False, on_reset_before_first_byte=False, status_codes=(429, 503), all_methods=True
            ),
        ),
        (
            {"RetryOn": ["gateway-error"]},
            RetryPolicy(
                1,
                on_connect_failure=True,
                on_reset_before_first_byte=True,
                status_codes=(502, 503, 504),
                all_methods=True,
            ),
        ),
        (
            {"RetryOn": ["reset"]},
            RetryPolicy(1, on_connect_failure=False, on_reset_before_first_byte=True, status_codes=()),
        ),
    ],
)
def test_retries(destination: dict[str, Any], policy: RetryPolicy) -> None:
    """A route that says nothing gets the mesh's policy; one that does gets what it says."""
    assert compiled("web", HTTP, router("web", {"Destination": destination})).routes[0].retry == policy


def test_redirect() -> None:
    """A redirect is followed to its end, with the last service's resolver."""
    chain = compiled(
        "web",
        resolver("web", Redirect={"Service": "web2"}),
        resolver("web2", Redirect={"Service": "web3", "ServiceSubset": "v3"}),
        resolver("web3", "v3", "v4", DefaultSubset="v4", ConnectTimeout="1s"),
    )
    assert legs(chain) == [(10_000, target_id("web3", "v3"))]
    assert chain.targets[0].connect_timeout_s == 1.0


def test_default_subset() -> None:
    """The default subset stands for the service."""
    chain = compiled("web", resolver("web", "v1", DefaultSubset="v1"))
    assert legs(chain) == [(10_000, target_id("web", "v1"))]


def test_only_passing() -> None:
    """Warning instances get traffic unless the subset says otherwise (Consul)."""
    entry = resolver("web", DefaultSubset="v1", Subsets={"v1": {"OnlyPassing": True}})
    assert compiled("web", entry).targets[0].only_passing
    assert not compiled("web", resolver("web", "v1", DefaultSubset="v1")).targets[0].only_passing


def test_failover() -> None:
    """Fail-over targets are resolved, in order, once, and never the target itself; a subset's own rule goes first."""
    chain = compiled(
        "web",
        resolver(
            "web",
            "v1",
            "v2",
            DefaultSubset="v1",
            Failover={
                "*": {"Service": "other"},
                "v1": {
                    "Targets": [{"ServiceSubset": "v2"}, {"Service": "moved"}, {"Service": "web"}, {"Service": "b"}]
                },
            },
        ),
        resolver("moved", Redirect={"Service": "b"}),
    )
    assert chain.targets[0].failover == (target_id("web", "v2"), target_id("b"))
    assert {target.id for target in chain.targets} == {target_id("web", "v1"), target_id("web", "v2"), target_id("b")}
    assert all(target.failover == () for target in chain.targets[1:])


def test_failover_of_each_other() -> None:
    """Two services may stand in for each other."""
    chain = compiled(
        "a",
        HTTP,
        splitter("a", (50, "a", ""), (50, "b", "")),
        resolver("a", Failover={"*": {"Service": "b"}}),
        resolver("b", Failover={"*": {"Service": "a"}}),
    )
    assert {target.id: target.failover for target in chain.targets} == {
        target_id("a"): (target_id("b"),),
        target_id("b"): (target_id("a"),),
    }


@pytest.mark.parametrize(
    ("bodies", "named"),
    [
        ([splitter("web", (100, "", ""))], "service-defaults"),
        ([router("web")], "service-defaults"),
        ([HTTP, splitter("web", (100, "", "v9"))], "v9"),
        ([HTTP, router("web", {"Destination": {"ServiceSubset": "v9"}})], "v9"),
        ([resolver("web", Redirect={"Service": "api", "ServiceSubset": "v9"})], "v9"),
        ([resolver("web", Redirect={"Service": "a"}), resolver("a", Redirect={"Service": "web"})], "loop"),
        ([resolver("web", Redirect={"Service": "web"})], "loop"),
        ([HTTP, splitter("web", (100, "a", "")), splitter("a", (100, "web", ""))], "loop"),
        ([resolver("web", Redirect={"Datacenter": "dc2"})], "dc2"),
        (
            [
                resolver("web", Redirect={"Service": "api"}),
                {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
            ],
            "mixes",
        ),
        (
            [
                HTTP,
                router("web", {"Destination": {"Service": "db"}}),
                {"Kind": "service-defaults", "Name": "db", "Protocol": "tcp"},
            ],
            "mixes",
        ),
    ],
)
def test_contradictions(bodies: list[dict[str, Any]], named: str) -> None:
    """What contradicts itself is an error, never a guess."""
    with pytest.raises(ChainError, match=named):
        compile_chain(Entries(*bodies), "web", DC)


def test_too_many_shares() -> None:
    """Splitters of splitters cannot grow without bound."""
    wide = [(1.0, f"s{i}", "") for i in range(100)]
    deep = [splitter(f"s{i}", *((1.0, f"t{j}", "") for j in range(100))) for i in range(100)]
    with pytest.raises(ChainError, match="more than"):
        compile_chain(Entries(HTTP, splitter("web", *wide), *deep), "web", DC)


_NAMES = ["web", "a", "b", "c"]
_SPLITS = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(_NAMES)), min_size=1, max_size=5)


@given(st.dictionaries(st.sampled_from(_NAMES), _SPLITS, min_size=1))
@settings(max_examples=200, deadline=None)
def test_weights_sum(plan: dict[str, list[tuple[int, str]]]) -> None:
    """Whatever splitters there are, the legs sum to the whole and every target exists, or it is a loop."""
    bodies = []
    for name, parts in plan.items():
        total = sum(weight for weight, _ in parts) or 1
        hundredths = [weight * 10_000 // total for weight, _ in parts]
        hundredths[0] += 10_000 - sum(hundredths)
        bodies.append(splitter(name, *((part / 100, to, "") for part, (_, to) in zip(hundredths, parts, strict=True))))
    try:
        chain = compiled("web", HTTP, *bodies)
    except ChainError:
        return
    found: tuple[Leg, ...] = chain.routes[-1].legs
    assert sum(leg.weight for leg in found) == 10_000
    assert {leg.target for leg in found} <= {target.id for target in chain.targets}


@pytest.mark.parametrize(
    ("failover", "found"),
    [
        ({"Datacenters": ["dc2"]}, ()),
        ({"Targets": [{"Datacenter": "dc2"}, {"Service": "spare"}, {"Peer": "east", "Service": "far"}]}, ("spare",)),
        ({"Service": "spare", "Datacenters": ["dc2", "dc1"]}, ("spare",)),
    ],
)
def test_failover_to_where_no_path_leads(failover: dict[str, Any], found: tuple[str, ...]) -> None:
    """Other datacenters and peers are shown in Consul's form of the chain, and never dialled."""
    chain = compiled("web", resolver("web", Failover={"*": failover}))
    target = next(target for target in chain.targets if target.service == "web")
    assert target.failover == tuple(target_id(name) for name in found)


def test_balance_is_carried() -> None:
    """The resolver's load balancer reaches proxies whole; none is none."""
    policy = {
        "Policy": "ring_hash",
        "RingHashConfig": {"MinimumRingSize": 10, "MaximumRingSize": 20},
        "HashPolicies": [
            {"Field": "cookie", "FieldValue": "id", "CookieConfig": {"TTL": "5s", "Path": "/"}, "Terminal": True},
            {"SourceIP": True},
        ],
    }
    (target,) = compiled("web", resolver("web", LoadBalancer=policy)).targets
    cookie = HashOf("cookie", "id", terminal=True, cookie_life_s=5.0, cookie_path="/")
    assert target.balance == Balance("ring_hash", 0, 10, 20, (cookie, HashOf("source_ip")))
    (target,) = compiled("web", resolver("web")).targets
    assert target.balance is None


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ({"Contains": "a.b"}, "xa.by", True),
        ({"Contains": "a.b"}, "xaxby", False),
        ({"Exact": "On", "IgnoreCase": True}, "oN", True),
        ({"Prefix": "v1", "IgnoreCase": True}, "V1-rest", True),
        ({"Suffix": "(x)", "IgnoreCase": True}, "y(X)", True),
        ({"Suffix": "(x)", "IgnoreCase": True}, "(X)y", False),
    ],
)
def test_header_rules_that_proxies_do_not_know(rule: dict[str, Any], value: str, holds: bool) -> None:
    """They become regular expressions, with what is special in the text taken literally."""
    http = {"Header": [{"Name": "x-flag", **rule}]}
    chain = compiled("web", HTTP, router("web", {"Match": {"HTTP": http}, "Destination": {"Service": "api"}}))
    (compiled_rule,) = chain.routes[0].match.headers
    assert isinstance(compiled_rule, HeaderRule)
    assert compile_regex(compiled_rule.regex)(value.encode()) is holds
