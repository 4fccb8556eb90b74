"""SPIFFE IDs and server names: four forms, nothing else, and every text read as it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model.identity import (
    InvalidIdentityError,
    Kind,
    SpiffeId,
    parse_service_sni,
    parse_spiffe_id,
    server_sni,
    service_id,
    service_sni,
)

TD = "mesh.example"
WEB = "spiffe://mesh.example/ns/default/dc/dc1/svc/web"

FORMS = {
    WEB: SpiffeId(TD, Kind.SERVICE, "dc1", "web"),
    "spiffe://mesh.example/ns/team/dc/dc1/svc/web": SpiffeId(TD, Kind.SERVICE, "dc1", "web", "team"),
    "spiffe://mesh.example/agent/client/dc/dc1/id/Node_1.eu": SpiffeId(TD, Kind.NODE, "dc1", "Node_1.eu"),
    "spiffe://mesh.example/gateway/mesh/dc/dc1/net/blue": SpiffeId(TD, Kind.GATEWAY, "dc1", "blue"),
    "spiffe://mesh.example/agent/server/dc/dc1": SpiffeId(TD, Kind.SERVER, "dc1"),
}

REFUSED = [
    "",
    "spiffe://",
    "spiffe:///ns/default/dc/dc1/svc/web",
    "spiffe://mesh.example",
    "spiffe://mesh.example/",
    "SPIFFE://mesh.example/ns/default/dc/dc1/svc/web",
    "https://mesh.example/ns/default/dc/dc1/svc/web",
    " " + WEB,
    WEB + " ",
    WEB + "\n",
    WEB + "/",
    WEB + "/extra",
    WEB + "?a",
    WEB + "#a",
    WEB + "\0",
    WEB.replace("web", "WEB"),
    WEB.replace("web", "%77eb"),
    WEB.replace("web", "*"),
    WEB.replace("web", ".."),
    WEB.replace("web", ""),
    WEB.replace("dc1", ""),
    WEB.replace("/ns/default", ""),
    WEB.replace("/ns/", "//ns/"),
    WEB.replace("mesh.example", "Mesh.example"),
    WEB.replace("mesh.example", "mesh.example:443"),
    WEB.replace("mesh.example", "user@mesh.example"),
    WEB.replace("svc", "SVC"),
    "spiffe://mesh.example/agent/server/dc/dc1/id/x",
    "spiffe://mesh.example/agent/client/dc/dc1/id/",
    "spiffe://mesh.example/agent/client/dc/dc1/id/../../../server/dc/dc1",
    "spiffe://mesh.example/gateway/mesh/dc/dc1",
    "spiffe://" + "a" * 3000 + "/agent/server/dc/dc1",
]


@pytest.mark.parametrize("uri", FORMS)
def test_the_four_forms_are_read_and_written_alike(uri: str) -> None:
    """Each form gives its parts, and the parts give the same text."""
    assert parse_spiffe_id(uri) == FORMS[uri]
    assert str(FORMS[uri]) == uri


@pytest.mark.parametrize("uri", REFUSED)
def test_anything_else_is_refused(uri: str) -> None:
    """Case, spaces, encodings, extra parts: nothing is guessed or repaired; the message stays short."""
    with pytest.raises(InvalidIdentityError) as caught:
        parse_spiffe_id(uri)
    assert len(str(caught.value)) < 1000


def test_a_service_of_another_namespace_or_datacenter_is_another_one() -> None:
    """Identities are compared whole."""
    assert parse_spiffe_id(WEB) == service_id(TD, "dc1", "web")
    assert parse_spiffe_id(WEB) != service_id(TD, "dc2", "web")
    assert parse_spiffe_id(WEB) != service_id(TD, "dc1", "web", "team")
    assert parse_spiffe_id(WEB) != service_id("other.example", "dc1", "web")


@given(st.one_of(st.text(max_size=300), st.text(max_size=60).map(lambda end: "spiffe://mesh.example/" + end)))
def test_fuzz_any_text_is_an_identity_that_writes_itself_or_is_refused(text: str) -> None:
    """No other error, and no two texts for one identity."""
    try:
        found = parse_spiffe_id(text)
    except InvalidIdentityError:
        return
    assert str(found) == text


@pytest.mark.parametrize("subset", ["", "v2"])
def test_a_services_server_name_is_read_as_it_was_written(subset: str) -> None:
    """Consul's form, with and without a subset."""
    sni = service_sni("web", "dc1", TD, subset)
    assert sni == ("v2." if subset else "") + "web.default.dc1.internal.mesh.example"
    assert parse_service_sni(sni, TD) == ("web", "dc1", subset)


@pytest.mark.parametrize(
    "sni",
    [
        "",
        "web",
        "internal.mesh.example",
        ".internal.mesh.example",
        "web.default.dc1.internal.other.example",
        "web.default.dc1.internal.mesh.example.",
        "web.default.dc1.external.mesh.example",
        "web.team.dc1.internal.mesh.example",
        "a.b.web.default.dc1.internal.mesh.example",
        "default.dc1.internal.mesh.example",
        server_sni("dc1", TD),
        "a" * 250 + ".default.dc1.internal.mesh.example",
    ],
)
def test_other_server_names_are_no_service(sni: str) -> None:
    """Another trust domain, namespace or number of labels names no service of this mesh."""
    assert parse_service_sni(sni, TD) is None


def test_the_catalogs_server_name() -> None:
    """The name that diallers send to reach the catalog."""
    assert server_sni("dc1", TD) == "server.dc1.mesh.example"
