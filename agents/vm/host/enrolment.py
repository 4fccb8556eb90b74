"""What joining leaves on disk: who this host is, where its catalog is, which roots it trusts (`agent.json`, 0600).

The node's certificate and key stand beside it (`mesh.identity.keep`). Nothing here is guessed: a file that is damaged is
refused with what to do.
"""

import os
import pwd
from pathlib import Path

import msgspec

from agents.vm.local.forms import NETWORK_META, NodeFacts
from mesh.identity.keep import replace_file
from mesh.model.names import InvalidNameError, check_label, check_node
from mesh.model.snapshot import Roots
from mesh.sync.link.address import HostPort, InvalidAddressError, parse_host_port

FILE_NAME = "agent.json"
IDENTITY_FOLDER = "identity"
AGENT_USER = "linkspan"
MESH_PORT = 8502
_MAX_BYTES = 1024 * 1024


class EnrolmentError(Exception):
    """What joining left on disk is missing or cannot be used; the text says what to do."""


class Enrolment(msgspec.Struct, frozen=True):
    """One host's place in the mesh. `services` are those its token granted (`*`: all)."""

    node: str
    address: str
    servers: tuple[str, ...]
    datacenter: str
    roots: Roots
    network: str = "default"
    services: tuple[str, ...] = ()
    meta: dict[str, str] = {}

    @property
    def facts(self) -> NodeFacts:
        """The node as it is registered."""
        return NodeFacts(self.node, self.address, self.datacenter, meta={**self.meta, NETWORK_META: self.network})

    @property
    def server_addresses(self) -> tuple[HostPort, ...]:
        """Where the catalog is."""
        return tuple(parse_host_port(text, MESH_PORT) for text in self.servers)


def save_enrolment(state_dir: Path, enrolment: Enrolment) -> None:
    """Write `agent.json`, whole or not at all.

    Raises:
        EnrolmentError: the disk refuses.
    """
    try:
        replace_file(state_dir / FILE_NAME, msgspec.json.format(msgspec.json.encode(enrolment)) + b"\n")
    except OSError as error:
        raise EnrolmentError(f"cannot write {state_dir / FILE_NAME}: {error.strerror}") from error


def load_enrolment(state_dir: Path) -> Enrolment | None:
    """What joining left; None if this host never joined.

    Raises:
        EnrolmentError: there is a file that cannot be used.
    """
    path = state_dir / FILE_NAME
    try:
        with path.open("rb") as file:
            enrolment = msgspec.json.decode(file.read(_MAX_BYTES + 1), type=Enrolment)
        check_node(enrolment.node)
        check_label(enrolment.network, "network")
        if not enrolment.servers:
            raise EnrolmentError(f"{path} names no catalog: run 'linkspan join' again with --force")
        for text in enrolment.servers:
            parse_host_port(text, MESH_PORT)
        return enrolment
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, InvalidNameError, InvalidAddressError) as error:
        raise EnrolmentError(f"{path} is damaged ({error}): run 'linkspan join' again with --force") from error


def prepare_state(state_dir: Path) -> None:
    """Make the state folder, 0700; made by root, it belongs to the agent's user if there is one.

    Raises:
        EnrolmentError: it cannot be made.
    """
    try:
        if not state_dir.exists():
            state_dir.mkdir(mode=0o700, parents=True)
            if os.geteuid() == 0:
                _give(state_dir, _agent_owner())
    except OSError as error:
        raise EnrolmentError(f"cannot make {state_dir}: {error.strerror}") from error


def give_to_owner(state_dir: Path) -> None:
    """Give everything in the state folder to the folder's owner: `join` runs as root, the agent does not.

    Raises:
        EnrolmentError: the disk refuses.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = state_dir.stat()
        for path in (*state_dir.iterdir(), *(state_dir / IDENTITY_FOLDER).iterdir()):
            _give(path, (owner.st_uid, owner.st_gid))
    except OSError as error:
        raise EnrolmentError(f"cannot hand {state_dir} to its owner: {error.strerror}") from error


def _agent_owner() -> tuple[int, int] | None:
    try:
        entry = pwd.getpwnam(AGENT_USER)
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


def _give(path: Path, owner: tuple[int, int] | None) -> None:
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)
