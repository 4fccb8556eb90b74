"""Joining: a token is worth one certificate, for its node; a service account is worth its own name."""

from collections.abc import Mapping
from typing import Any

import pytest
import trio
import trio.lowlevel

from catalog.access.callers import Grant
from catalog.access.kubernetes import Cluster
from catalog.access.tokens import GRANT_TABLE, JOIN_TABLE, RANDOM_BYTES, make_join_token, read_grant
from catalog.authority.authority import Authority, IssueRefusedError
from catalog.authority.join import Joiner, JoinRefusedError
from catalog.authority.signer import RootKey
from catalog.state.changes import AnyChange
from catalog.state.state import State
from mesh.wire.sync import JoinRequest

NODE = "spiffe://td.test/agent/client/dc/dc1/id/n1"
GRANT = Grant(("web",), gateway=True, network="vm-paris")


class Engine:
    """The state without a log; every submit lets others run first, so that races happen."""

    def __init__(self) -> None:
        self.state = State()

    async def submit(self, change: AnyChange) -> Any:
        await trio.lowlevel.checkpoint()
        return self.state.apply(change, self.state.index + 1, 0.0).result


class Reviewer:
    """A cluster that knows one token."""

    def __init__(self, username: str, network: str = "k8s-east") -> None:
        self.cluster = Cluster(network, "linkspan/agent", "linkspan/gateway")
        self._username = username
        self.asked: list[str] = []

    async def review(self, token: str) -> Mapping[str, Any]:
        self.asked.append(token)
        extra = {"authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/node-name": ["node-a"]}
        user = {"username": f"system:serviceaccount:{self._username}", "extra": extra}
        return {"status": {"authenticated": True, "audiences": ["linkspan"], "user": user}}


@pytest.fixture
def authority(root: RootKey) -> Authority:
    return Authority(root, "dc1")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def token(engine: Engine, now_s: float) -> str:
    text, _, change = make_join_token(bytes(RANDOM_BYTES), "n1", GRANT, now_s, 600)
    await engine.submit(change)
    return text


async def test_token(authority: Authority, engine: Engine, requests: Any, token: str, now_s: float) -> None:
    """The node gets its certificate, the bundle and its services; the token is gone, the grant kept."""
    joiner = Joiner(engine, authority)
    answer = await joiner.join(JoinRequest("token", token, requests.make(NODE), "vm-paris"), now_s)
    assert answer.leaf.uri == NODE
    assert answer.roots_pem == (authority.root_pem,)
    assert (answer.datacenter, answer.trust_domain, answer.services) == ("dc1", "td.test", ("web",))
    assert engine.state.records(JOIN_TABLE) == []
    assert read_grant(engine.state.record(GRANT_TABLE, "n1")) == GRANT
    with pytest.raises(JoinRefusedError, match="not valid"):
        await joiner.join(JoinRequest("token", token, requests.make(NODE)), now_s)


async def test_race(authority: Authority, engine: Engine, requests: Any, token: str, now_s: float) -> None:
    """Of many that use one token at once, one wins."""
    outcomes: list[str] = []

    async def join() -> None:
        try:
            await Joiner(engine, authority).join(JoinRequest("token", token, requests.make(NODE)), now_s)
            outcomes.append("joined")
        except JoinRefusedError:
            outcomes.append("refused")

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(join)
    assert sorted(outcomes) == ["joined"] + ["refused"] * 9


@pytest.mark.parametrize(
    ("uri", "network"),
    [
        ("spiffe://td.test/agent/client/dc/dc1/id/n2", ""),
        ("spiffe://td.test/ns/default/dc/dc1/svc/web", ""),
        ("spiffe://td.test/gateway/mesh/dc/dc1/net/vm-paris", ""),
        ("spiffe://td.test/agent/server/dc/dc1", ""),
        ("spiffe://other.test/agent/client/dc/dc1/id/n1", ""),
        (NODE, "k8s-east"),
    ],
)
async def test_wrong_name_keeps_the_token(
    authority: Authority, engine: Engine, requests: Any, token: str, now_s: float, uri: str, network: str
) -> None:
    """A request for another name or network is refused, and the token can still be used for the right one."""
    joiner = Joiner(engine, authority)
    with pytest.raises((JoinRefusedError, IssueRefusedError)):
        await joiner.join(JoinRequest("token", token, requests.make(uri), network), now_s)
    await joiner.join(JoinRequest("token", token, requests.make(NODE)), now_s)


async def test_refused(authority: Authority, engine: Engine, requests: Any, token: str, now_s: float) -> None:
    """Bad tokens, methods and requests are refused; the text never holds the token."""
    joiner = Joiner(engine, authority)
    csr = requests.make(NODE)
    cases = [
        JoinRequest("token", "", csr),
        JoinRequest("token", "x" * 20_000, csr),
        JoinRequest("token", "lsj_0000000000000000_" + "B" * 43, csr),
        JoinRequest("password", token, csr),
        JoinRequest("kubernetes", token, csr),
    ]
    for request in cases:
        with pytest.raises(JoinRefusedError) as caught:
            await joiner.join(request, now_s)
        assert not request.token or request.token not in str(caught.value)
    with pytest.raises(JoinRefusedError):
        await joiner.join(JoinRequest("token", token, csr), now_s + 601)
    with pytest.raises(IssueRefusedError):
        await joiner.join(JoinRequest("token", token, "junk"), now_s)


@pytest.mark.parametrize(
    ("username", "uri"),
    [
        ("shop:web", "spiffe://td.test/ns/default/dc/dc1/svc/web"),
        ("linkspan:agent", "spiffe://td.test/agent/client/dc/dc1/id/node-a"),
        ("linkspan:gateway", "spiffe://td.test/gateway/mesh/dc/dc1/net/k8s-east"),
    ],
)
async def test_kubernetes(
    authority: Authority, engine: Engine, requests: Any, now_s: float, username: str, uri: str
) -> None:
    """A pod gets its account's name; the one cluster there is need not be named; a node's grant holds its network."""
    reviewer = Reviewer(username)
    answer = await Joiner(engine, authority, [reviewer]).join(
        JoinRequest("kubernetes", "jwt", requests.make(uri)), now_s
    )
    assert answer.leaf.uri == uri
    assert answer.services == ()
    assert reviewer.asked == ["jwt"]
    grants = [read_grant(record) for record in engine.state.records(GRANT_TABLE)]
    assert grants == ([Grant(network="k8s-east")] if "client" in uri else [])


async def test_kubernetes_refused(authority: Authority, engine: Engine, requests: Any, now_s: float) -> None:
    """Another name, another cluster, another trust domain or the server's own name: refused."""
    joiner = Joiner(engine, authority, [Reviewer("shop:web"), Reviewer("shop:web", "k8s-west")])
    web = "spiffe://td.test/ns/default/dc/dc1/svc/web"
    for uri, network in (
        (web.replace("web", "api"), "k8s-east"),
        (web, "k8s-north"),
        (web, ""),
        (web.replace("td.test", "other.test"), "k8s-east"),
        ("spiffe://td.test/agent/server/dc/dc1", "k8s-east"),
    ):
        with pytest.raises((JoinRefusedError, IssueRefusedError)):
            await joiner.join(JoinRequest("kubernetes", "jwt", requests.make(uri), network), now_s)
    await joiner.join(JoinRequest("kubernetes", "jwt", requests.make(web), "k8s-west"), now_s)
