"""Who may not be a peer: each wrong certificate is refused at the handshake, or at once after it, with a line that says why.

Inbound the peers of this test dial a real proxy; outbound a real proxy dials servers of this test, which keep what they got.
"""

import contextlib
import datetime as dt
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from mesh.identity.context import client_context, server_context
from mesh.identity.leaf import Leaf
from mesh.model.snapshot import Roots
from mesh.wire.trunk_frames import ALPN
from tests.fakes.authority import TRUST_DOMAIN, Authority, service_uri
from tests.lab.counting_app import CountingApp
from tests.lab.mesh_pair import CALLEE, CALLER, HTTP_ALPN, Hop, Mesh, dial_mesh, mesh, read_answer, status_of
from tests.lab.process import wait_until
from tests.lab.trunk_peer import request

WEB, API = service_uri(CALLER), service_uri(CALLEE)
GET = b"GET /smuggled HTTP/1.1\r\nHost: api\r\n\r\n"
TRIED = {HTTP_ALPN: GET, ALPN: request(1, target=b"/smuggled")}


def minted(parent: Leaf, uri: str) -> Leaf:
    """A leaf signed with the key of another leaf: what a service could do if leaves passed as authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(parent.certificate_pem.encode())
    signing = load_pem_private_key(parent.key_pem, None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
        .sign(signing, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode() + parent.certificate_pem
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Leaf(pem, key_pem, uri, f"{certificate.serial_number:x}", 0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """A proxy of `api` before an application, and the certificates it is shown. `revoked` is on its bundle's list."""

    app: CountingApp
    made: Mesh
    callee: Hop
    revoked: Leaf
    leaves: dict[str, Leaf]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with CountingApp() as app, mesh(tmp_path_factory.mktemp("certificates")) as made:
        ours, revoked = made.authority, made.leaf(CALLER)
        foreign = f"spiffe://elsewhere.mesh/ns/default/dc/dc1/svc/{CALLER}"
        leaves = {
            "another CA": Authority(common_name="another root").leaf(WEB),
            "another CA of the same name": Authority().leaf(WEB),
            "expired": ours.leaf(WEB, begin_s=-7200, life_s=-60),
            "not valid yet": ours.leaf(WEB, begin_s=3600, life_s=7200),
            "another trust domain": ours.leaf(foreign),
            "two URI SANs": ours.leaf(WEB, service_uri("other")),
            "the same URI SAN twice": ours.leaf(WEB, WEB),
            "no URI SAN": ours.leaf(dns_names=("web.default.dc1.internal.test.linkspan",)),
            "no SAN": ours.leaf(),
            "a URI that is no SPIFFE ID": ours.leaf("https://test.linkspan/web"),
            "a SPIFFE ID with a query": ours.leaf(WEB + "?a=b"),
            "a SPIFFE ID with dots": ours.leaf(f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/../svc/web"),
            "revoked": revoked,
            "minted by a service": minted(made.leaf("other"), WEB),
        }
        callee = made.callee(app.port, roots=made.authority.roots(revoked_serials=(revoked.serial,)))
        yield Scene(app, made, callee, revoked, leaves)


REFUSED = {
    "another CA": "was refused: unknown CA",
    "another CA of the same name": "was refused: unknown CA",
    "expired": "was refused: the certificate has expired",
    "not valid yet": "was refused: the certificate is not valid yet",
    "another trust domain": "elsewhere.mesh/ns/default/dc/dc1/svc/web is of another trust domain than ours, 'test.linkspan'",
    "two URI SANs": "was refused: the peer's certificate has 2 URI SANs, not exactly one",
    "the same URI SAN twice": "was refused: the peer's certificate has 2 URI SANs, not exactly one",
    "no URI SAN": "was refused: the peer's certificate has 0 URI SANs, not exactly one",
    "no SAN": "was refused: the peer's certificate has 0 URI SANs, not exactly one",
    "a URI that is no SPIFFE ID": "was refused: the peer's certificate: ",
    "a SPIFFE ID with a query": "was refused: the peer's certificate: ",
    "a SPIFFE ID with dots": "was refused: the peer's certificate: ",
    "revoked": "is revoked",
    "minted by a service": "was refused: ",
}


def served(dial: Callable[[], ssl.SSLSocket], tried: bytes) -> bytes:
    """What a peer gets for its request: nothing, when it is refused at any moment."""
    try:
        with dial() as sock:
            sock.sendall(tried)
            return read_answer(sock)
    except (ssl.SSLError, ConnectionError):
        return b""


def new_lines(hop: Hop, before: str, text: str) -> str:
    """What the proxy said since `before`, once `text` is in it."""
    wait_until(lambda: text in hop.said()[len(before) :], f"{text!r} in {hop.said()[len(before) :]!r}", timeout_s=5)
    return hop.said()[len(before) :]


@pytest.mark.parametrize("alpn", [HTTP_ALPN, ALPN])
@pytest.mark.parametrize("name", REFUSED)
def test_wrong_certificates_are_refused(scene: Scene, name: str, alpn: str) -> None:
    """No byte of a peer with a wrong certificate is served, whatever it speaks, and the log says what is wrong with it."""
    before, connections = scene.callee.said(), scene.app.connections
    assert served(lambda: dial_mesh(scene.callee.port, scene.leaves[name], scene.made.roots, alpn), TRIED[alpn]) == b""
    lines = new_lines(scene.callee, before, REFUSED[name])
    assert lines.count("\n") == 1, lines
    assert scene.app.connections == connections
    assert b"smuggled" not in scene.app.received


def test_the_revoked_serial_is_named(scene: Scene) -> None:
    """The line about a revoked certificate names it."""
    before = scene.callee.said()
    served(lambda: dial_mesh(scene.callee.port, scene.revoked, scene.made.roots), GET)
    assert scene.revoked.serial.lstrip("0") in new_lines(scene.callee, before, "is revoked")


@pytest.mark.parametrize("alpn", [HTTP_ALPN, ALPN])
def test_the_good_certificate_passes(scene: Scene, alpn: str) -> None:
    """A valid certificate passes, silently: the refusals above are about the certificates."""
    before, requests = scene.callee.said(), len(scene.app.requests)
    tried = TRIED[alpn].replace(b"/smuggled", b"/wellcome")
    with dial_mesh(scene.callee.port, scene.made.leaf(CALLER), scene.made.roots, alpn) as sock:
        sock.sendall(tried)
        assert sock.recv(65536)
        assert sock.version() == "TLSv1.3"
    assert len(scene.app.requests) == requests + 1
    assert scene.callee.said() == before


def test_no_certificate_is_refused(scene: Scene) -> None:
    """A peer that shows none is refused."""
    before = scene.callee.said()
    assert served(lambda: dial_mesh(scene.callee.port, None, scene.made.roots), GET) == b""
    new_lines(scene.callee, before, "was refused: the peer showed no certificate")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_older_tls_is_refused(scene: Scene, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and before are refused, also with a valid certificate."""
    context = client_context(scene.made.leaf(CALLER), scene.made.roots, (HTTP_ALPN,))
    context.minimum_version = version
    context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    before = scene.callee.said()
    with (
        socket.create_connection(("127.0.0.1", scene.callee.port), timeout=5) as sock,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(sock, server_hostname=CALLEE)
    new_lines(scene.callee, before, "was refused: the peer does not speak TLS 1.3")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (GET, "was refused: the peer sent plain HTTP to a TLS port"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n" + bytes(64), "was refused: "),
        (b"\x16\x03\x01\x00\x05hello" + bytes(64), "was refused: "),
        (b"\x16", "was refused: the peer closed the connection during the handshake"),
    ],
    ids=["plain HTTP", "SSH", "a broken ClientHello", "one byte"],
)
def test_other_protocols_are_refused(scene: Scene, said: bytes, text: str) -> None:
    """What is no TLS is refused with a line."""
    before = scene.callee.said()
    with socket.create_connection(("127.0.0.1", scene.callee.port), timeout=5) as sock:
        sock.sendall(said)
        with contextlib.suppress(OSError):  # it may have been refused, and reset, before this
            sock.shutdown(socket.SHUT_WR)
        assert b"HTTP" not in read_answer(sock)
    new_lines(scene.callee, before, text)
    assert b"smuggled" not in scene.app.received


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
def test_a_connection_without_a_byte_is_nobodys_fault(scene: Scene, resets: bool) -> None:
    """A TCP health check connects and goes: no line of the log, whichever way it goes; the next broken handshake has its line."""
    before = scene.callee.said()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", scene.callee.port), timeout=5) as sock:
            if resets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                sock.shutdown(socket.SHUT_WR)
                assert sock.recv(1) == b""
    with socket.create_connection(("127.0.0.1", scene.callee.port), timeout=5) as sock:
        sock.sendall(GET)
        read_answer(sock)
    lines = new_lines(scene.callee, before, "was refused: the peer sent plain HTTP to a TLS port")
    assert lines.count("\n") == 1, lines


def test_a_session_is_never_resumed(scene: Scene) -> None:
    """No ticket is given out: OpenSSL would not verify again on resumption, and a revoked peer would come back with one."""
    context = client_context(scene.made.leaf(CALLER), scene.made.roots, (HTTP_ALPN,))
    address = ("127.0.0.1", scene.callee.port)
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=CALLEE) as first,
    ):
        first.sendall(GET.replace(b"/smuggled", b"/"))
        read_answer(first)
        session = first.session
        assert session is None or not session.has_ticket
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=CALLEE, session=session) as second,
    ):
        assert not second.session_reused


def test_a_certificate_that_ends_takes_its_connections_along(scene: Scene) -> None:
    """A connection is cut when its peer's certificate expires, not only at the next handshake; the log says so."""
    before, life_s = scene.callee.said(), 2.0
    begun_s = time.monotonic()
    leaf = scene.made.authority.leaf(WEB, life_s=life_s)
    with dial_mesh(scene.callee.port, leaf, scene.made.roots) as sock:
        sock.sendall(GET.replace(b"/smuggled", b"/"))
        assert status_of(read_answer(sock)) == 200
        sock.settimeout(life_s + 4)
        assert read_answer(sock) == b""
    assert time.monotonic() - begun_s < life_s + 2.5
    assert "expired" in new_lines(scene.callee, before, "cut a connection: the certificate of spiffe://")


# -- the other way: whom our proxy calls --


class Impostor:
    """A TLS server with a certificate of the test's choice; keeps every byte that it got after the handshake."""

    def __init__(self, leaf: Leaf, roots: Roots, *, old_tls: bool = False) -> None:
        self._context = server_context(leaf, roots, (ALPN, HTTP_ALPN), client_required=False)
        if old_tls:
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received = b""
        self.handshakes = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(5)
            try:
                with self._context.wrap_socket(sock, server_side=True) as tls:
                    self.handshakes += 1
                    while data := tls.recv(65536):
                        self.received += data
            except OSError:
                sock.close()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(6)


IMPOSTORS = {
    "another service": f"is {service_uri('other')}, not {API}",
    "another kind": f"not {API}",
    "another CA": "unknown CA",
    "another CA of the same name": "unknown CA",
    "expired": "the certificate has expired",
    "another trust domain": "is of another trust domain than ours",
    "two URI SANs": "has 2 URI SANs, not exactly one",
    "no URI SAN": "has 0 URI SANs, not exactly one",
    "minted by a service": "",
    "TLS 1.2": "TLS",
}


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hop, dict[str, Impostor]]]:
    with mesh(tmp_path_factory.mktemp("impostors")) as made:
        ours = made.authority
        leaves = {
            "another service": made.leaf("other"),
            "another kind": ours.leaf(f"spiffe://{TRUST_DOMAIN}/agent/client/dc/dc1/id/{CALLEE}"),
            "another CA": Authority(common_name="another root").leaf(API),
            "another CA of the same name": Authority().leaf(API),
            "expired": ours.leaf(API, begin_s=-7200, life_s=-60),
            "another trust domain": ours.leaf(API.replace(TRUST_DOMAIN, "elsewhere.mesh")),
            "two URI SANs": ours.leaf(API, service_uri("other")),
            "no URI SAN": ours.leaf(dns_names=("api.default.dc1.internal.test.linkspan",)),
            "minted by a service": minted(made.leaf("other"), API),
            "TLS 1.2": made.leaf(CALLEE),
        }
        impostors = {name: Impostor(leaf, made.roots, old_tls=name == "TLS 1.2") for name, leaf in leaves.items()}
        # Every upstream is the service `api`, told apart by the name of a chain that leads to it.
        hop = made.caller_to(CALLEE, {_label(name): one.port for name, one in impostors.items()})
        yield hop, impostors
        for one in impostors.values():
            one.close()


def _label(name: str) -> str:
    return name.lower().replace(" ", "-").replace(".", "-")


@pytest.mark.parametrize("name", IMPOSTORS)
def test_impostors_are_never_called(calling: tuple[Hop, dict[str, Impostor]], name: str) -> None:
    """Who is not the service meant gets not a byte of the request; the caller gets 503, the log the reason."""
    hop, impostors = calling
    with socket.create_connection(("127.0.0.1", hop.upstreams[_label(name)]), timeout=10) as sock:
        sock.sendall(GET)
        answer = read_answer(sock)
    assert status_of(answer) == 503, answer
    assert impostors[name].received == b""

    def line() -> str:
        found = [entry["error"] for entry in hop.access() if entry["endpoint"] == f"{_label(name)}-1"]
        return found[0] if found else ""

    error = wait_until(line, "the call in the access log", timeout_s=5)
    assert IMPOSTORS[name] in error, error
    assert "could not be reached" in error


def test_the_private_key_is_in_no_file(scene: Scene, tmp_path: Path) -> None:
    """Nothing that a proxy writes holds a key or a certificate's body."""
    said = scene.callee.said() + "".join(map(str, scene.callee.access()))
    assert "PRIVATE KEY" not in said
    assert "BEGIN CERTIFICATE" not in said
