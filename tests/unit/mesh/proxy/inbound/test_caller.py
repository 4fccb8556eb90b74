"""What a peer's certificate says about every request on its connection."""

import hashlib
from collections.abc import Iterator

import pytest

from mesh.decide.authorise import Denied, Permit, compile_policy
from mesh.identity.peer import Peer
from mesh.model.identity import Kind, SpiffeId, parse_spiffe_id
from mesh.model.intention import Action
from mesh.proxy.inbound.caller import OUTSIDE, Caller
from mesh.proxy.record import Recorder
from mesh.telemetry.metrics import Metrics
from mesh.transport.ring import Ring
from tests.fakes.authority import TRUST_DOMAIN, service_uri
from tests.fakes.mesh_world import Lines, allow


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A recorder that keeps its lines."""
    ring = Ring(clock=lambda: 0.0)
    yield Recorder("destination", ring, Metrics(), Lines())  # type: ignore[arg-type]
    ring.close()


def caller(recorder: Recorder, who: SpiffeId) -> Caller:
    return Caller(Peer(who, "1", 1e12), service_uri("api"), b"certificate", recorder, "api")


def test_the_application_is_told_by_whom_and_by_which_certificate(recorder: Recorder) -> None:
    """One line: our URI, the digest of the peer's certificate, the peer's URI."""
    lines = caller(recorder, parse_spiffe_id(service_uri("web"))).lines.decode()
    digest = hashlib.sha256(b"certificate").hexdigest()
    assert lines == f"x-forwarded-client-cert: By={service_uri('api')};Hash={digest};URI={service_uri('web')}\r\n"


def test_a_verdict_is_asked_once_for_each_policy(recorder: Recorder) -> None:
    """The same policy gives the same verdict object; another policy is asked anew."""
    who = caller(recorder, parse_spiffe_id(service_uri("web")))
    policy = compile_policy(allow("web"), TRUST_DOMAIN)
    first = who.verdict(policy)
    assert isinstance(first, Permit)
    assert who.verdict(policy) is first
    assert isinstance(who.verdict(compile_policy(allow("web", action=Action.DENY), TRUST_DOMAIN)), Denied)
    assert isinstance(who.verdict(compile_policy(None, TRUST_DOMAIN)), Denied)


def test_who_is_no_service_has_one_label(recorder: Recorder) -> None:
    """A peer without a service name never makes a metric label of its own."""
    assert caller(recorder, SpiffeId(TRUST_DOMAIN, Kind.SERVER, "dc1", "")).source == OUTSIDE
