"""What joining leaves on disk: written whole, private, and refused when damaged."""

import stat
from pathlib import Path

import pytest

from agents.vm.host.enrolment import (
    Enrolment,
    EnrolmentError,
    give_to_owner,
    load_enrolment,
    prepare_state,
    save_enrolment,
)
from mesh.model.snapshot import Root, Roots

ENROLMENT = Enrolment(
    node="vm1",
    address="10.0.0.1",
    servers=("catalog.example:8502",),
    datacenter="dc1",
    roots=Roots("td", 0, (Root("0", "pem"),)),
    network="vm-paris",
    services=("web",),
    meta={"rack": "r1"},
)


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    """0600 in 0700; the node's facts carry its network."""
    state = tmp_path / "state"
    prepare_state(state)
    save_enrolment(state, ENROLMENT)
    give_to_owner_folder = state / "identity"
    give_to_owner_folder.mkdir()
    give_to_owner(state)
    assert load_enrolment(state) == ENROLMENT
    assert stat.S_IMODE((state / "agent.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert ENROLMENT.facts.meta == {"rack": "r1", "linkspan-network": "vm-paris"}
    assert str(ENROLMENT.server_addresses[0]) == "catalog.example:8502"


def test_a_host_that_never_joined_has_none(tmp_path: Path) -> None:
    """No file is no error."""
    assert load_enrolment(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"node": 1}', b"\xff"])
def test_a_damaged_file_is_refused_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    """Never half used."""
    (tmp_path / "agent.json").write_bytes(content)
    with pytest.raises(EnrolmentError, match="join' again with --force"):
        load_enrolment(tmp_path)


@pytest.mark.parametrize("changes", [{"node": "a b"}, {"network": "A"}, {"servers": ()}, {"servers": ("x:y",)}])
def test_bad_values_are_refused(changes: dict[str, object], tmp_path: Path) -> None:
    """A file edited by hand is checked like a flag."""
    import msgspec

    save_enrolment(tmp_path, msgspec.structs.replace(ENROLMENT, **changes))
    with pytest.raises(EnrolmentError):
        load_enrolment(tmp_path)
