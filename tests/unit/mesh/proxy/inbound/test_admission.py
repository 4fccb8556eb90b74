"""How many connections one peer may hold: a table by certificate, kind and service."""

import pytest

from mesh.identity.peer import Peer
from mesh.model.identity import service_id
from mesh.proxy.inbound.admission import find_refusal
from mesh.proxy.settings import Limits

LIMITS = Limits(connections_a_service=12, trunks_a_certificate=3, foreign_a_certificate=5)


def peer(serial: str = "1", service: str = "web") -> Peer:
    return Peer(service_id("test.linkspan", "dc1", service), serial, 0.0)


MANY = [peer(str(serial)) for serial in range(2, 13)]


@pytest.mark.parametrize(
    ("trunks", "others", "is_trunk", "reason"),
    [
        ([], [], True, ""),
        ([peer()] * 2, [], True, ""),
        ([peer()] * 3, [], True, "peer_trunks"),
        ([peer()] * 3, [], False, ""),
        ([], [peer()] * 3, True, ""),
        ([], [peer()] * 5, False, "peer_connections"),
        ([peer("2")] * 3, [], True, ""),
        ([peer("1", "other")] * 3, [], True, ""),
        (MANY, [], True, ""),
        ([*MANY, peer("99")], [], True, "service"),
        (MANY, [peer("99")], False, "service"),
        ([peer(str(serial), "other") for serial in range(20)], [], True, ""),
    ],
)
def test_who_may_come_in(trunks: list[Peer], others: list[Peer], *, is_trunk: bool, reason: str) -> None:
    """Trunks and other connections are bounded by certificate, both together by service; others' count for nothing."""
    refusal = find_refusal(peer(), trunks, others, LIMITS, is_trunk=is_trunk)
    assert (refusal.reason if refusal is not None else "") == reason


def test_a_service_of_two_hundred_instances_fits() -> None:
    """Each instance with two trunks across networks, all of them replaced at once while the old ones are busy."""
    standing: list[Peer] = []
    for number in range(200):
        for _ in range(4):
            one = peer(str(number))
            assert find_refusal(one, standing, [], Limits(), is_trunk=True) is None
            standing.append(one)


def test_our_own_dialler_fits() -> None:
    """Four trunks for each of three subsets across networks, doubled while those that were asked to leave are busy."""
    standing: list[Peer] = []
    for _ in range(24):
        assert find_refusal(peer(), standing, [], Limits(), is_trunk=True) is None
        standing.append(peer())
