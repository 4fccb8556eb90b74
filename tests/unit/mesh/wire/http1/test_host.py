"""The names that loopback ports answer to: loopback's own, those that were allowed, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.wire.http1.host import HostRule, InvalidHostError, host_rule

LOOPBACK = [
    b"127.0.0.1", b"127.0.0.1:8500", b"127.3.2.1:1", b"localhost", b"LocalHost:8500", b"localhost.:8500", b"[::1]", b"[::1]:8500",
]  # fmt: skip
OTHERS = [
    b"", b"consul", b"consul:8500", b"evil.example:8500", b"127.0.0.1.evil.example", b"localhost.evil.example", b"1127.0.0.1",
    b"128.0.0.1", b"192.0.2.1:8500", b"::1", b"[::2]", b"0.0.0.0", b"localhost:", b"localhost:x", b"localhost:123456",
    b"user@localhost", b" localhost", b"localhost\x00", b"127.0.0.1/x", "locālhost".encode(), b"a" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopbacks_names_are_answered(host: bytes) -> None:
    """By address and by name, with any port."""
    assert HostRule().allows(host)
    assert HostRule().refusal([(b"accept", b"*/*"), (b"host", host)]) == ""


@pytest.mark.parametrize("host", OTHERS)
def test_other_names_are_refused(host: bytes) -> None:
    """A page of any other name must not reach the port, however alike the name looks."""
    assert not HostRule().allows(host)
    assert HostRule().refusal([(b"host", host)])


@pytest.mark.parametrize(
    "host", [b"consul", b"CONSUL:8500", b"consul.", b"[2001:db8::1]:8500", b"192.0.2.1", b"127.0.0.1:1"]
)
def test_allowed_names_are_answered(host: bytes) -> None:
    """As they are written in any case, with any port; loopback's stay allowed."""
    rule = host_rule(["Consul", "2001:db8::1", "192.0.2.1"])
    assert rule.allows(host)
    assert not rule.allows(b"x" + host.lstrip(b"["))


def test_a_refusal_says_how_to_allow_the_name() -> None:
    assert HostRule().refusal([(b"host", b"consul:8500")]) == (
        "Host 'consul:8500' is not a name that this port answers to: call it as 127.0.0.1 or localhost, "
        "or allow that name with --allowed-host consul"
    )
    assert "--allowed-host" not in HostRule().refusal([(b"host", b"a b")])
    assert len(HostRule().refusal([(b"host", b"\xff" * 9000)])) < 600


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]])
def test_there_is_exactly_one(hosts: list[bytes]) -> None:
    """None is what no browser sends, but nothing that we need either."""
    assert "exactly one Host" in HostRule().refusal([(b"host", host) for host in hosts])


@pytest.mark.parametrize("name", ["", "a b", "consul:8500", "[::1]:8500", "http://consul", "*", "é", "a" * 300])
def test_what_is_no_name_is_not_allowed(name: str) -> None:
    with pytest.raises(InvalidHostError, match="without a port"):
        host_rule([name])


@given(st.binary(max_size=40), st.lists(st.text(max_size=10), max_size=2))
def test_any_bytes_get_an_answer(host: bytes, names: list[str]) -> None:
    """Any header gives yes or no; any name a rule or the operator's error."""
    try:
        rule = host_rule(names)
    except InvalidHostError:
        rule = HostRule()
    assert rule.allows(host) is (rule.refusal([(b"host", host)]) == "")
