"""The authority at work: issue, refuse, revoke, and stay bounded."""

from pathlib import Path
from typing import Any

import pytest
import trio

from catalog.access.callers import OPERATOR, Caller, CallerKind
from catalog.authority.authority import QUEUE_LIMIT, Authority, AuthorityBusyError, IssueRefusedError, revoke_change
from catalog.authority.signer import RootKey
from catalog.state.state import State

WEB = Caller(CallerKind.SERVICE, "web")
URI = "spiffe://td.test/ns/default/dc/dc1/svc/web"


@pytest.fixture
def authority(root: RootKey) -> Authority:
    return Authority(root, "dc1")


async def test_issue(authority: Authority, requests: Any, now_s: float) -> None:
    """A service gets its own name and no other."""
    leaf = await authority.issue(WEB, requests.make(URI), now_s)
    assert (leaf.uri, leaf.not_after_s) == (URI, now_s + 24 * 3600)
    assert authority.issued == 1
    with pytest.raises(IssueRefusedError, match="Permission denied"):
        await authority.issue(WEB, requests.make(URI.replace("web", "api")), now_s)
    with pytest.raises(IssueRefusedError):
        await authority.issue(WEB, "junk", now_s)
    assert authority.issued == 1


async def test_queue_is_bounded(authority: Authority, requests: Any, now_s: float) -> None:
    """A storm is served as far as the queue goes; the rest is told at once."""
    csr = requests.make(URI)
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            await authority.issue(OPERATOR, csr, now_s)
            outcomes.append("issued")
        except AuthorityBusyError:
            outcomes.append("busy")

    async with trio.open_nursery() as nursery:
        for _ in range(QUEUE_LIMIT + 20):
            nursery.start_soon(ask)
    assert outcomes.count("issued") == QUEUE_LIMIT
    assert outcomes.count("busy") == 20
    await authority.issue(OPERATOR, csr, now_s)


def test_roots(authority: Authority) -> None:
    """The bundle holds the root and what the state says is revoked."""
    state = State()
    assert authority.roots().revoked_serials == ()
    state.apply(revoke_change("0A1B"), state.index + 1, 0.0)
    roots = authority.roots(state.records("roots"), state.index_of(("roots",)))
    assert roots.revoked_serials == ("0A1B",)
    assert roots.index == state.index
    assert [root.pem for root in roots.roots] == [authority.root_pem]
    assert roots.trust_domain == "td.test"


def test_server(authority: Authority, now_s: float) -> None:
    """The catalog makes its own certificate."""
    leaf, key_pem = authority.issue_server(now_s)
    assert leaf.uri == "spiffe://td.test/agent/server/dc/dc1"
    assert b"PRIVATE KEY" in key_pem


def test_open(tmp_path: Path, now_s: float) -> None:
    """Opened twice, it is the same authority."""
    first = Authority.open(tmp_path, "dc1", now_s)
    assert Authority.open(tmp_path, "dc1", now_s).root_pem == first.root_pem


@pytest.mark.parametrize("ttl_s", [0.0, 9.0, 1e9, float("nan")])
def test_life_is_bounded(root: RootKey, ttl_s: float) -> None:
    """A leaf's life is neither too short to renew nor long enough to be forgotten."""
    with pytest.raises(ValueError, match="life"):
        Authority(root, "dc1", leaf_ttl_s=ttl_s)
