"""DNS as the real `dig` sees it (bind9-dnsutils, which `tests/lab/setup.sh` installs)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.lab.process import run
from tests.system.dns.site import Place, dev, register

pytestmark = [pytest.mark.slow, pytest.mark.root]

INSTANCES = 60


class Dug(NamedTuple):
    """What dig printed: status, flags, and the records of its sections as lists of words."""

    status: str
    flags: list[str]
    answer: list[list[str]]
    additional: list[list[str]]
    text: str

    @property
    def data(self) -> list[str]:
        """The answers' data, sorted."""
        return sorted(" ".join(row[4:]) for row in self.answer)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A dev process that knows a small service, a large one, one with addresses of its own, and one outside."""
    with dev(tmp_path_factory.mktemp("dig")) as made:
        for number in range(1, INSTANCES + 1):
            register(made, f"big{number}", f"10.0.1.{number}", {"Service": "big", "Port": 80})
        register(made, "n1", "10.0.0.1", {"Service": "web", "Port": 80, "Tags": ["v1"]})
        register(made, "n2", "2001:db8::2", {"Service": "web", "Port": 81, "Weights": {"Passing": 9, "Warning": 1}})
        register(made, "n3", "10.0.0.3", {"Service": "web", "Port": 82}, "critical")
        register(made, "n4", "10.0.0.4", {"Service": "own", "Port": 83, "Address": "10.9.0.4"})
        register(made, "n5", "db.example.com", {"Service": "db", "Port": 5432})
        yield made


def dig(place: Place, *words: str) -> Dug:
    """Ask with dig; it fails if nothing that it can read comes back."""
    text = run(["dig", "@127.0.0.1", "-p", str(place.dns), "+tries=1", "+time=5", *words]).stdout
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"flags: ([\w ]*);", text)
    assert status is not None
    assert flags is not None
    assert not re.search(r"malformed|extra bytes|mismatch|Bad packet", text, flags=re.IGNORECASE), text

    def section(name: str) -> list[list[str]]:
        found = re.search(rf";; {name} SECTION:\n(.*?)\n\n", text, flags=re.DOTALL)
        return [line.split() for line in found[1].splitlines()] if found else []

    return Dug(status[1], flags[1].split(), section("ANSWER"), section("ADDITIONAL"), text)


@pytest.mark.parametrize(
    ("words", "data"),
    [
        (["web.service.consul"], ["10.0.0.1"]),
        (["web.service.consul", "AAAA"], ["2001:db8::2"]),
        (["web.service.consul", "ANY"], ["10.0.0.1", "2001:db8::2"]),
        (["web.service.consul", "TXT"], ["10.0.0.1", "2001:db8::2"]),
        (["web.service.consul", "SRV"], ["1 1 80 n1.node.dc1.consul.", "1 9 81 n2.node.dc1.consul."]),
        (["_web._tcp.service.consul", "SRV"], ["1 1 80 n1.node.dc1.consul.", "1 9 81 n2.node.dc1.consul."]),
        (["_web._v1.service.dc1.dc.consul", "SRV"], ["1 1 80 n1.node.dc1.consul."]),
        (["v1.web.service.dc1.consul"], ["10.0.0.1"]),
        (["own.service.consul", "SRV"], ["1 1 83 0a090004.addr.dc1.consul."]),
        (["0a090004.addr.dc1.consul"], ["10.9.0.4"]),
        (["own.service.consul"], ["10.9.0.4"]),
        (["db.service.consul"], ["db.example.com."]),
        (["n3.node.consul"], ["10.0.0.3"]),
        (["-x", "10.0.0.1"], ["n1.node.dc1.consul."]),
        (["-x", "2001:db8::2"], ["n2.node.dc1.consul."]),
        (["-x", "10.9.0.4"], ["own.service.dc1.consul."]),
        (["consul", "NS"], ["laptop.node.dc1.consul."]),
        (["laptop.node.consul", "TXT"], ['"linkspan-network=default"']),
    ],
)
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_names(place: Place, words: list[str], data: list[str], transport: str) -> None:
    """Each form of name over UDP and TCP; the answer is authoritative."""
    got = dig(place, *words, transport)
    assert (got.status, got.data) == ("NOERROR", data), got.text
    assert "aa" in got.flags


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["nope.service.consul"], "NXDOMAIN"),
        (["web.service.dc2.consul"], "NXDOMAIN"),
        (["n1.node.consul", "AAAA"], "NOERROR"),
        (["x.virtual.consul"], "NOERROR"),
        (["www.example.com"], "REFUSED"),
        (["web.service.consul", "CH"], "REFUSED"),
        (["web.service.consul", "+opcode=UPDATE"], "NOTIMP"),
        (["web.service.consul", "+edns=1", "+noednsnegotiation"], "BADVERS"),
    ],
)
def test_what_there_is_not(place: Place, words: list[str], status: str) -> None:
    """With the SOA where the domain is ours, so that it may be kept (RFC 2308)."""
    got = dig(place, *words)
    assert (got.status, got.answer) == (status, []), got.text
    assert ("SOA" in got.text) == (status in {"NXDOMAIN", "NOERROR"})


def test_the_domain_is_not_handed_out(place: Place) -> None:
    """A zone transfer would list every service."""
    words = ["dig", "@127.0.0.1", "-p", str(place.dns), "+tries=1", "consul", "AXFR"]
    assert "Transfer failed" in run(words, check=False).stdout


def test_letter_case_is_kept(place: Place) -> None:
    """Resolvers that mix it (0x20) believe nothing else."""
    assert dig(place, "wEb.SeRvIcE.CoNsUl").answer[0][0] == "wEb.SeRvIcE.CoNsUl."


def test_srv_brings_addresses(place: Place) -> None:
    got = dig(place, "web.service.consul", "SRV")
    assert sorted((row[0], row[3], row[4]) for row in got.additional) == [
        ("n1.node.dc1.consul.", "A", "10.0.0.1"),
        ("n2.node.dc1.consul.", "AAAA", "2001:db8::2"),
    ]


def test_udp_without_edns_gives_three_of_many(place: Place) -> None:
    """No TC bit; other ones each time."""
    seen = set()
    for _ in range(20):
        got = dig(place, "big.service.consul", "+noedns")
        assert (len(got.answer), "tc" in got.flags) == (3, False)
        seen |= set(got.data)
    assert len(seen) > 20


def test_edns_gives_what_fits_and_tcp_all(place: Place) -> None:
    """With the TC bit, after which dig comes again over TCP by itself."""
    small = dig(place, "big.service.consul", "+bufsize=512", "+ignore")
    assert 10 < len(small.answer) < INSTANCES
    assert "tc" in small.flags
    assert int(re.findall(r"MSG SIZE\s+rcvd: (\d+)", small.text)[0]) <= 512
    assert len(dig(place, "big.service.consul", "+bufsize=512").answer) == INSTANCES
    assert len(dig(place, "big.service.consul", "+bufsize=4096", "+ignore").answer) == INSTANCES
    assert len(dig(place, "big.service.consul", "SRV", "+tcp", "+noedns").answer) == INSTANCES


def test_a_connection_serves_many(place: Place) -> None:
    """Dig keeps one open for several names."""
    words = ["+tcp", "+keepopen", "+short", "own.service.consul", "n1.node.consul"]
    text = run(["dig", "@127.0.0.1", "-p", str(place.dns), *words]).stdout
    assert text.split() == ["10.9.0.4", "10.0.0.1"]
