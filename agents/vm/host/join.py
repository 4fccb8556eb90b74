"""`linkspan join`: this host's first certificate for a one-time token; key, certificate and settings on disk.

The catalog is verified by the pin before the token leaves (`mesh.sync.join`). Joining again is harmless: a host that has
joined under the same name keeps what it has, and its token stays unspent.
"""

import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from agents.vm.host.enrolment import (
    IDENTITY_FOLDER,
    MESH_PORT,
    Enrolment,
    EnrolmentError,
    give_to_owner,
    load_enrolment,
    prepare_state,
    save_enrolment,
)
from mesh.identity.keep import KeptLeafError, LeafStore
from mesh.identity.leaf import Leaf
from mesh.model.identity import Kind, SpiffeId
from mesh.model.names import check_label, check_node
from mesh.sync.join import JoinAsk, Joined, Trust, join
from mesh.sync.link.address import HostPort, parse_host_port

MAX_TOKEN_BYTES = 16 * 1024

Joiner = Callable[[tuple[HostPort, ...], Trust, JoinAsk], Awaitable[Joined]]


class TokenError(Exception):
    """The join token cannot be read; the text says why."""


class JoinSettings(msgspec.Struct, frozen=True):
    """Where to join, as whom, and where to keep it."""

    servers: tuple[str, ...]
    ca_pin: str
    node: str
    network: str
    address: str
    state_dir: Path
    meta: dict[str, str] = {}
    force: bool = False


class JoinOutcome(msgspec.Struct, frozen=True):
    """What this host is now. `is_new` is False if it had joined before and nothing was done."""

    enrolment: Enrolment
    uri: str
    valid_for_s: float
    is_new: bool


def check_settings(settings: JoinSettings) -> tuple[HostPort, ...]:
    """The catalog's addresses, if everything is well-formed.

    Raises:
        InvalidNameError, InvalidAddressError: a name or an address is not.
    """
    check_node(settings.node)
    check_label(settings.network, "network")
    return tuple(parse_host_port(text, MESH_PORT) for text in settings.servers)


async def enrol(settings: JoinSettings, read_token: Callable[[], str], joiner: Joiner = join) -> JoinOutcome:
    """Join, or find that this host has joined already.

    Raises:
        SyncError: the catalog is not the pinned one, refuses, or cannot be reached; nothing was written.
        EnrolmentError: the state folder cannot be used, or holds another host's identity.
        TokenError: the token cannot be read.
    """
    servers = check_settings(settings)
    present = await trio.to_thread.run_sync(_present, settings)
    if present is not None:
        return present
    ask = JoinAsk(
        lambda domain, dc: SpiffeId(domain, Kind.NODE, dc, settings.node), "token", read_token(), settings.network
    )
    joined = await joiner(servers, Trust(pin=settings.ca_pin), ask)
    enrolment = Enrolment(
        node=settings.node,
        address=settings.address,
        servers=tuple(map(str, servers)),
        datacenter=joined.datacenter,
        roots=joined.roots,
        network=settings.network,
        services=joined.services,
        meta=settings.meta,
    )
    await trio.to_thread.run_sync(_keep, settings.state_dir, enrolment, joined.leaf)
    return JoinOutcome(enrolment, joined.leaf.uri, joined.leaf.not_after_s - time.time(), is_new=True)


def _present(settings: JoinSettings) -> JoinOutcome | None:
    """What an earlier joining left, if it is of the same name and still valid."""
    prepare_state(settings.state_dir)
    if settings.force:
        return None
    enrolment = load_enrolment(settings.state_dir)
    if enrolment is None:
        return None
    if (enrolment.node, enrolment.network) != (settings.node, settings.network):
        raise EnrolmentError(
            f"this host has joined as {enrolment.node!r} in network {enrolment.network!r}: "
            "use --force to make it another one"
        )
    try:
        leaf = LeafStore(settings.state_dir / IDENTITY_FOLDER).load()
    except KeptLeafError as error:
        raise EnrolmentError(f"{error}, or use --force") from error
    now_s = time.time()
    if leaf is None or leaf.not_after_s <= now_s:
        return None
    return JoinOutcome(enrolment, leaf.uri, leaf.not_after_s - now_s, is_new=False)


def _keep(state_dir: Path, enrolment: Enrolment, leaf: Leaf) -> None:
    """Identity first, `agent.json` last: with it the host counts as joined. The former mesh's resources go."""
    try:
        (state_dir / "cache" / "resources.json").unlink(missing_ok=True)
        LeafStore(state_dir / IDENTITY_FOLDER).save(leaf)
    except (OSError, KeptLeafError) as error:
        raise EnrolmentError(f"joined, but the certificate cannot be kept: {error}") from error
    save_enrolment(state_dir, enrolment)
    give_to_owner(state_dir)


def address_towards(server: str) -> str:
    """This host's own address on the way to `server`. Nothing is sent.

    Raises:
        InvalidAddressError: `server` is no address.
        EnrolmentError: there is no way to it.
    """
    where = parse_host_port(server, MESH_PORT)
    try:
        family, kind, _, _, target = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise EnrolmentError(
            f"cannot tell this host's address on the way to {where}: {error.strerror}: give --address"
        ) from error


def read_token(source: str, read_stdin: Callable[[], str]) -> str:
    """The token in a file, or from standard input if `source` is `-`. It never stands in argv.

    Raises:
        TokenError: it is missing, empty or too large.
    """
    if source == "-":
        text = read_stdin()
    else:
        try:
            with Path(source).open("rb") as file:
                text = file.read(MAX_TOKEN_BYTES + 1).decode("utf-8", "replace")
        except OSError as error:
            raise TokenError(f"cannot read the token file {source}: {error.strerror}") from error
    token = text.strip()
    if not token or len(token) > MAX_TOKEN_BYTES or any(letter.isspace() for letter in token):
        raise TokenError("the join token is empty or no single word: 'linkspan token create' prints one")
    return token
