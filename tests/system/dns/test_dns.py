"""DNS of real processes, asked by a client of our own: what needs no root and no foreign program."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalog.dns.wire.encode import Answer, Reply, encode_reply
from catalog.dns.wire.query import Rcode, Type, read_query
from catalog.dns.wire.record import address_record
from tests.fakes.dns_asker import Heard, ask, hear
from tests.lab.process import free_port, run, wait_until
from tests.system.dns.site import LINKSPAN, Place, agent, catalog, dev, register

pytestmark = pytest.mark.slow


def udp(port: int, data: bytes) -> Heard:
    """The answer over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(6)
        sock.connect(("127.0.0.1", port))
        sock.send(data)
        return hear(sock.recv(65535))


@contextmanager
def fake_upstream() -> Iterator[str]:
    """A DNS server of somebody else's that knows every address to be 192.0.2.7."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = sock.recvfrom(4096)
                if data == b"stop":
                    return
                query = read_query(data)
                answers = [Answer(address_record(query.name, b"\xc0\0\2\7", 60))]
                sock.sendto(encode_reply(query, Reply(answers=answers, authoritative=False), 512, recursive=True), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            sock.sendto(b"stop", sock.getsockname())
            thread.join(timeout=5)


def test_a_registration_is_answered_at_once(tmp_path: Path) -> None:
    """Registered, failing, healthy again, gone: each answer is that of the moment. Consul's settings count."""
    with dev(tmp_path, {"dns_config": {"service_ttl": {"*": "7s"}}, "domain": "mesh.test"}) as place:
        name = "web.service.mesh.test"
        assert udp(place.dns, ask(name)).rcode == Rcode.NXDOMAIN
        for status, data in (("passing", ["10.0.0.1"]), ("critical", []), ("warning", ["10.0.0.1"])):
            register(place, "n1", "10.0.0.1", {"Service": "web", "Port": 80}, status)
            got = udp(place.dns, ask(name))
            assert got.data == data
            assert {row.ttl_s for row in got.answers} <= {7}
        place.put("/v1/catalog/deregister", {"Node": "n1"})
        assert udp(place.dns, ask(name)).rcode == Rcode.NXDOMAIN
        assert udp(place.dns, ask("web.service.consul")).rcode == Rcode.REFUSED


def test_a_prepared_query_is_answered(tmp_path: Path) -> None:
    """By its name, with its TTL."""
    with dev(tmp_path) as place:
        register(place, "n1", "10.0.0.1", {"Service": "web", "Port": 80})
        query = {"Name": "near", "Service": {"Service": "web"}, "DNS": {"TTL": "11s"}}
        place.post("/v1/query", query)
        got = udp(place.dns, ask("near.query.consul"))
        assert [(row.data, row.ttl_s) for row in got.answers] == [("10.0.0.1", 11)]
        assert udp(place.dns, ask("far.query.consul")).rcode == Rcode.NXDOMAIN


def test_recursors_of_the_configuration_are_asked(tmp_path: Path) -> None:
    """For other names, and for where a service with a host's name leads."""
    with fake_upstream() as upstream, dev(tmp_path, {"recursors": [upstream]}) as place:
        assert udp(place.dns, ask("www.example.com")).data == ["192.0.2.7"]
        register(place, "out", "db.example.com", {"Service": "db", "Port": 5432})
        assert udp(place.dns, ask("db.service.consul")).data == ["192.0.2.7", "db.example.com."]


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """With the flag to change it, in one line."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        words = [LINKSPAN, "dev", "--http-port", "0", "--mesh-port", "0", "--dns-port", port]
        done = run(words, check=False, timeout_s=20)
        assert done.returncode == 1
        assert done.stderr.strip() == (
            f"Error: cannot serve DNS on 127.0.0.1:{port}: Address already in use: choose another --dns-port"
        )


def let_everyone_read(place: Place) -> None:
    """Give the anonymous token the rights that DNS needs, as docs/dns.md says."""
    rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    place.put("/v1/acl/policy", {"Name": "names", "Rules": rules})
    place.put("/v1/acl/token/00000000-0000-0000-0000-000000000002", {"Policies": [{"Name": "names"}]})


def test_nothing_is_answered_without_rights(tmp_path: Path) -> None:
    """Neither by the catalog nor by an agent, whose own rights are not lent; a right counts at once, and so does its loss."""
    mesh = f"127.0.0.1:{free_port()}"
    with catalog(tmp_path, mesh) as place, agent(tmp_path, place, "host") as port:
        register(place, "n1", "10.0.0.1", {"Service": "web", "Port": 80, "Address": "10.9.9.9"})
        secret = ["web.service.consul", "n1.node.consul", "host.node.consul"]
        hidden = [ask(name) for name in secret] + [
            ask("1.0.0.10.in-addr.arpa", Type.PTR),
            ask("9.9.9.10.in-addr.arpa", Type.PTR),
        ]
        for server in (place.dns, port):
            assert [udp(server, one).rcode for one in hidden] == [Rcode.NXDOMAIN] * len(hidden)
            assert udp(server, ask("consul", Type.NS)).answers == []
        let_everyone_read(place)
        assert udp(place.dns, hidden[0]).data == ["10.9.9.9"]
        wait_until(lambda: udp(port, hidden[0]).data == ["10.9.9.9"], "the agent's answer", timeout_s=10)
        place.put("/v1/acl/token/00000000-0000-0000-0000-000000000002", {"Policies": []})
        assert udp(place.dns, hidden[0]).rcode == Rcode.NXDOMAIN
        wait_until(lambda: udp(port, hidden[0]).rcode == Rcode.NXDOMAIN, "the agent's silence", timeout_s=10)


def test_an_agent_answers_while_the_catalog_is_away(tmp_path: Path) -> None:
    """What was asked before stays true; what was not is a failure, not a lie; after a restart all is as it was."""
    mesh = f"127.0.0.1:{free_port()}"
    with catalog(tmp_path, mesh) as place:
        let_everyone_read(place)
        register(place, "n1", "10.0.0.1", {"Service": "web", "Port": 80, "Tags": ["v1"]})
        with agent(tmp_path, place, "host") as port:
            wait_until(
                lambda: udp(port, ask("host.node.consul")).data == ["127.0.0.1"], "the agent's own node", timeout_s=15
            )
            assert udp(port, ask("v1.web.service.consul", Type.SRV)).data == ["1 1 80 n1.node.dc1.consul."]
            assert udp(port, ask("nope.service.consul")).rcode == Rcode.NXDOMAIN
            assert udp(port, ask("1.0.0.10.in-addr.arpa", Type.PTR)).data == ["n1.node.dc1.consul."]
            place.daemon.kill()
            for _ in range(3):
                assert udp(port, ask("web.service.consul")).data == ["10.0.0.1"]
                assert udp(port, ask("nope.service.consul")).rcode == Rcode.NXDOMAIN
                assert udp(port, ask("other.service.consul")).rcode == Rcode.SERVFAIL
            with catalog(tmp_path, mesh) as again:
                register(again, "n2", "10.0.0.2", {"Service": "web", "Port": 80})
                both = ["10.0.0.1", "10.0.0.2"]
                wait_until(lambda: udp(port, ask("web.service.consul")).data == both, "the new instance", timeout_s=20)
                assert udp(port, ask("other.service.consul")).rcode == Rcode.NXDOMAIN
