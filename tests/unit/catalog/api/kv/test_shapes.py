"""What keys and sessions print as."""

import msgspec

from catalog.api.kv.shapes import key_json, session_json
from catalog.state.records import Behavior, KeyEntry, ServiceCheck, Session


def test_a_key_prints_as_consuls() -> None:
    """Base64; an empty value is null; Session only while it is locked."""
    assert msgspec.json.encode(key_json(KeyEntry("a", b"hi", 3, 1, "s", 5, 6))) == (
        b'{"LockIndex":1,"Key":"a","Flags":3,"Value":"aGk=","Session":"s","CreateIndex":5,"ModifyIndex":6}'
    )
    assert msgspec.json.encode(key_json(KeyEntry("a"))) == (
        b'{"LockIndex":0,"Key":"a","Flags":0,"Value":null,"CreateIndex":0,"ModifyIndex":0}'
    )


def test_a_session_prints_as_consuls() -> None:
    """The lock-delay in nanoseconds, the time to live as it was written, no service checks as null."""
    shown = session_json(Session("s", "n", "lock", ttl="600000ms", ttl_s=600.0, node_checks=("serfHealth",)))
    assert msgspec.json.decode(msgspec.json.encode(shown)) == {
        "ID": "s",
        "Name": "lock",
        "Node": "n",
        "LockDelay": 15_000_000_000,
        "Behavior": "release",
        "TTL": "600000ms",
        "NodeChecks": ["serfHealth"],
        "ServiceChecks": None,
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }
    bound = Session("s", "n", behavior=Behavior.DELETE, service_checks=(ServiceCheck("up"),))
    assert session_json(bound)["ServiceChecks"] == [{"ID": "up", "Namespace": ""}]
