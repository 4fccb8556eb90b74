"""Joining: what is asked, what is kept, and what a second time does."""

import time
from pathlib import Path

import msgspec
import pytest

from agents.vm.host.enrolment import EnrolmentError, load_enrolment
from agents.vm.host.join import JoinSettings, TokenError, address_towards, enrol, read_token
from mesh.identity.keep import LeafStore
from mesh.identity.leaf import Leaf
from mesh.model.names import InvalidNameError
from mesh.model.snapshot import Root, Roots
from mesh.sync.join import JoinAsk, Joined, Trust
from mesh.sync.link.address import HostPort, InvalidAddressError
from mesh.sync.link.errors import RefusedError


class FakeJoiner:
    """A catalog that lets everybody in, or nobody."""

    def __init__(self, lifetime_s: float = 3600, error: Exception | None = None) -> None:
        self.lifetime_s = lifetime_s
        self.error = error
        self.asked: list[tuple[tuple[HostPort, ...], Trust, JoinAsk]] = []

    async def __call__(self, addresses: tuple[HostPort, ...], trust: Trust, ask: JoinAsk) -> Joined:
        self.asked.append((addresses, trust, ask))
        if self.error is not None:
            raise self.error
        uri, now_s = str(ask.name("td", "dc1")), time.time()
        leaf = Leaf("cert", b"key", uri, "01", now_s - 60, now_s + self.lifetime_s)
        return Joined(leaf, Roots("td", 0, (Root("0", "pem"),)), "dc1", ("web",))


def settings(tmp_path: Path, **changes: object) -> JoinSettings:
    plain = JoinSettings(("catalog:8502",), "sha256:00", "vm1", "vm-paris", "10.0.0.1", tmp_path / "state")
    return msgspec.structs.replace(plain, **changes)


def token() -> str:
    return "lsj_secret"


def no_token() -> str:
    raise AssertionError("the token must not be read")


async def test_joining_keeps_identity_and_place(tmp_path: Path) -> None:
    """The node's name is asked for with the token and the pin; key and settings are kept."""
    joiner = FakeJoiner()
    outcome = await enrol(settings(tmp_path), token, joiner)
    assert outcome.is_new
    assert outcome.uri == "spiffe://td/agent/client/dc/dc1/id/vm1"
    addresses, trust, ask = joiner.asked[0]
    assert (str(addresses[0]), trust.pin, ask.method, ask.token, ask.network) == (
        "catalog:8502", "sha256:00", "token", "lsj_secret", "vm-paris",
    )  # fmt: skip
    enrolment = load_enrolment(tmp_path / "state")
    assert enrolment == outcome.enrolment
    leaf = LeafStore(tmp_path / "state" / "identity").load()
    assert leaf is not None
    assert leaf.key_pem == b"key"


async def test_joining_again_changes_nothing_and_keeps_the_token(tmp_path: Path) -> None:
    """Idempotent: not even the token is read."""
    await enrol(settings(tmp_path), token, FakeJoiner())
    again = FakeJoiner()
    outcome = await enrol(settings(tmp_path), no_token, again)
    assert not outcome.is_new
    assert not again.asked


async def test_another_name_needs_force(tmp_path: Path) -> None:
    """A host does not change its identity by accident; the former mesh's resources go."""
    await enrol(settings(tmp_path), token, FakeJoiner())
    cache = tmp_path / "state" / "cache" / "resources.json"
    cache.parent.mkdir()
    cache.touch()
    with pytest.raises(EnrolmentError, match="--force"):
        await enrol(settings(tmp_path, node="vm2"), token, FakeJoiner())
    outcome = await enrol(settings(tmp_path, node="vm2", force=True), token, FakeJoiner())
    assert outcome.uri.endswith("/vm2")
    assert not cache.exists()


async def test_an_expired_certificate_joins_anew(tmp_path: Path) -> None:
    """A host that slept past its certificate gets in with a new token, without --force."""
    await enrol(settings(tmp_path), token, FakeJoiner(lifetime_s=-1))
    assert (await enrol(settings(tmp_path), token, FakeJoiner())).is_new


async def test_a_refusal_leaves_nothing(tmp_path: Path) -> None:
    """The host has not joined."""
    with pytest.raises(RefusedError):
        await enrol(settings(tmp_path), token, FakeJoiner(error=RefusedError(403, "spent")))
    assert load_enrolment(tmp_path / "state") is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"node": "a b"}, InvalidNameError),
        ({"network": "N"}, InvalidNameError),
        ({"servers": ("x:y",)}, InvalidAddressError),
    ],
)
async def test_bad_flags_are_refused_first(changes: dict[str, object], error: type[Exception], tmp_path: Path) -> None:
    """Before anything is asked or written."""
    with pytest.raises(error):
        await enrol(settings(tmp_path, **changes), no_token, FakeJoiner())
    assert not (tmp_path / "state").exists()


def test_the_token_comes_from_a_file_or_standard_input(tmp_path: Path) -> None:
    """Never from an argument; blanks around it do not count."""
    path = tmp_path / "token"
    path.write_text("lsj_x\n")
    assert read_token(str(path), no_token) == "lsj_x"
    assert read_token("-", lambda: " lsj_y ") == "lsj_y"
    for content in ("", "two words", "x" * 20_000):
        path.write_text(content)
        with pytest.raises(TokenError):
            read_token(str(path), no_token)
    with pytest.raises(TokenError, match="cannot read"):
        read_token(str(tmp_path / "none"), no_token)


def test_the_own_address_is_found_on_the_way_to_the_catalog() -> None:
    """Loopback towards loopback."""
    assert address_towards("127.0.0.1:8502") == "127.0.0.1"
