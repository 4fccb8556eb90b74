"""Which certificates this host's proxies may have."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.vm.definition.values import ServiceDefinition
from agents.vm.local.entries import Origin
from agents.vm.local.forms import NodeFacts
from agents.vm.local.state import LocalState
from agents.vm.relay.leaf import LeafRefusedError, asked_identity, check_runs_here
from mesh.model.identity import parse_spiffe_id

NODE = NodeFacts("vm1", "10.0.0.1", meta={"linkspan-network": "vm-paris"})
WEB = "spiffe://td/ns/default/dc/dc1/svc/web"


def csr(*names: x509.GeneralName) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_one_name_of_a_request_is_read() -> None:
    """Exactly one URI."""
    assert str(asked_identity(csr(x509.UniformResourceIdentifier(WEB)))) == WEB


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("web"),),
        (x509.UniformResourceIdentifier(WEB), x509.UniformResourceIdentifier(WEB)),
        (x509.UniformResourceIdentifier(WEB), x509.DNSName("web")),
        (x509.UniformResourceIdentifier("https://web"),),
    ],
)
def test_other_requests_are_refused(names: tuple[x509.GeneralName, ...]) -> None:
    """No name, another kind of name, two names."""
    with pytest.raises(LeafRefusedError):
        asked_identity(csr(*names))


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_gives_an_identity_or_the_proxys_error(text: str) -> None:
    """No input fails in any other way."""
    with pytest.raises(LeafRefusedError):
        asked_identity(text)


def test_oversized_requests_are_refused() -> None:
    """Before anything parses them."""
    with pytest.raises(LeafRefusedError, match="larger"):
        asked_identity("x" * 20_000)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (WEB, ""),
        ("spiffe://td/gateway/mesh/dc/dc1/net/vm-paris", ""),
        ("spiffe://td/ns/default/dc/dc1/svc/db", "not registered on this host"),
        ("spiffe://td/ns/default/dc/dc1/svc/web-sidecar-proxy", "not registered on this host"),
        ("spiffe://td/ns/default/dc/dc1/svc/mesh-gateway", "not registered on this host"),
        ("spiffe://other/ns/default/dc/dc1/svc/web", "another trust domain"),
        ("spiffe://td/ns/default/dc/dc2/svc/web", "another trust domain or datacenter"),
        ("spiffe://td/gateway/mesh/dc/dc1/net/k8s-east", "not in network"),
        ("spiffe://td/agent/client/dc/dc1/id/vm1", "may not have a certificate of a node"),
        ("spiffe://td/agent/server/dc/dc1", "may not have a certificate of a server"),
    ],
)
def test_only_what_runs_here_gets_a_certificate(uri: str, reason: str) -> None:
    """Services and the gateway that are registered on this agent; never a node's or the catalog's name."""
    state = LocalState()
    for service in (
        ServiceDefinition("w1", "web"),
        ServiceDefinition("w1-sidecar-proxy", "web-sidecar-proxy", kind="connect-proxy"),
        ServiceDefinition("gw", "mesh-gateway", kind="mesh-gateway"),
    ):
        state.put_service(service, Origin.API, 0)
    if not reason:
        check_runs_here(parse_spiffe_id(uri), state, NODE, "td")
        return
    with pytest.raises(LeafRefusedError, match=reason):
        check_runs_here(parse_spiffe_id(uri), state, NODE, "td")


def test_a_gateway_must_be_registered_first() -> None:
    """Being in the network is not enough."""
    with pytest.raises(LeafRefusedError, match="register it first"):
        check_runs_here(parse_spiffe_id("spiffe://td/gateway/mesh/dc/dc1/net/vm-paris"), LocalState(), NODE, "td")
