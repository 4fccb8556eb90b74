"""Tokens: the operator's, and the one-time tokens that hosts join with.

A secret is 256 random bits, shown once and kept as its SHA-256: with that much entropy a slow hash adds nothing.
What is looked up by is the token's public id; the secret is compared in constant time. Randomness comes in as bytes.
"""

import base64
import hashlib
import hmac
import re

import msgspec

from catalog.access.callers import Grant
from catalog.state.changes import Batch, DeleteRecord, PutRecord
from catalog.state.records import Record
from mesh.model.names import ANY, check_label, check_node

OPERATOR_TABLE = "access"
OPERATOR_KEY = "operator"
JOIN_TABLE = "join-tokens"
GRANT_TABLE = "grants"
SECRET_BYTES = 32
ID_BYTES = 8
RANDOM_BYTES = SECRET_BYTES + ID_BYTES
MIN_TTL_S = 10.0
MAX_TTL_S = 30 * 86400.0
MAX_SERVICES = 256

_JOIN_TEXT = re.compile(r"lsj_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


class TokenRefusedError(Exception):
    """The caller's token does not open this door. The text never says which part of it was wrong."""


class JoinToken(msgspec.Struct, frozen=True):
    """A join token as it is kept: the hash, and what whoever shows it becomes. `expires_s` is seconds since the epoch."""

    id: str
    sha256: str
    node: str
    grant: Grant
    expires_s: float


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def make_operator_token(random: bytes) -> tuple[str, PutRecord]:
    """A new operator token from `SECRET_BYTES` random bytes: its text, and the change that keeps its hash.

    The change writes only if there is none yet, so that of two first starts one wins.
    """
    assert len(random) == SECRET_BYTES
    text = f"lso_{_text(random)}"
    return text, PutRecord(OPERATOR_TABLE, OPERATOR_KEY, _hash(text).encode(), cas=0)


def is_operator_token(text: str, record: Record | None) -> bool:
    """Whether `text` is the operator token whose hash `record` keeps. No record: nothing is."""
    if record is None or not text:
        return False
    return hmac.compare_digest(_hash(text[:1024]).encode(), record.value)


def make_join_token(
    random: bytes, node: str, grant: Grant, now_s: float, ttl_s: float
) -> tuple[str, JoinToken, PutRecord]:
    """A new join token from `RANDOM_BYTES` random bytes: its text (shown once), its kept form, and the change.

    Raises:
        ValueError: a name, the number of services or the time to live (seconds) is out of bounds.
    """
    assert len(random) == RANDOM_BYTES
    check_node(node)
    if len(grant.services) > MAX_SERVICES:
        raise ValueError(f"a token can grant at most {MAX_SERVICES} services, not {len(grant.services)}: grant '*'")
    for service in grant.services:
        if service != ANY:
            check_label(service, "service")
    if grant.network:
        check_label(grant.network, "network")
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise ValueError(f"a token's time to live must be {MIN_TTL_S:g} s to {MAX_TTL_S:g} s, not {ttl_s:g} s")
    token_id = random[:ID_BYTES].hex()
    text = f"lsj_{token_id}_{_text(random[ID_BYTES:])}"
    token = JoinToken(token_id, _hash(text), node, grant, now_s + ttl_s)
    return text, token, PutRecord(JOIN_TABLE, token_id, msgspec.json.encode(token), cas=0)


def join_token_id(text: str) -> str:
    """The public id in a join token's text: the key of its record.

    Raises:
        TokenRefusedError: the text is no join token.
    """
    match = _JOIN_TEXT.fullmatch(text)
    if match is None:
        raise TokenRefusedError("the join token is not valid: make a new one with `linkspan token create`")
    return match[1]


def redeem(text: str, record: Record | None, now_s: float) -> JoinToken:
    """The kept token that `text` opens. It is still to be consumed with `consume`.

    Raises:
        TokenRefusedError: it is unknown, used, expired or wrong.
    """
    token = None
    if record is not None:
        try:
            token = msgspec.json.decode(record.value, type=JoinToken)
        except msgspec.DecodeError:
            token = None
    known = token.sha256 if token is not None else "0" * 64
    right = hmac.compare_digest(_hash(text), known)
    if token is None or not right or now_s >= token.expires_s:
        raise TokenRefusedError(
            "the join token is not valid: unknown, used or expired; make a new one with `linkspan token create`"
        )
    return token


def consume(token: JoinToken, record: Record) -> Batch:
    """The change that uses the token up and writes its node's grant: of two that race, one gets a `ConflictError`."""
    return Batch((DeleteRecord(JOIN_TABLE, record.key, cas=record.modify_index), grant_change(token.node, token.grant)))


def grant_change(node: str, grant: Grant) -> PutRecord:
    """The change that keeps what a node may ask for."""
    return PutRecord(GRANT_TABLE, node, msgspec.json.encode(grant))


def withdraw_change(node: str) -> PutRecord:
    """The change that takes back what a node was granted. A mark, since a node without a record is merely unknown."""
    return grant_change(node, Grant(withdrawn=True))


def read_grant(record: Record | None) -> Grant | None:
    """The grant that a record keeps; None, which grants nothing, if there is none or it cannot be read."""
    if record is None:
        return None
    try:
        return msgspec.json.decode(record.value, type=Grant)
    except msgspec.DecodeError:
        return None


def tokens_of(records: list[Record], node: str) -> list[DeleteRecord]:
    """The changes that remove the unused join tokens of a node."""
    gone = []
    for record in records:
        try:
            token = msgspec.json.decode(record.value, type=JoinToken)
        except msgspec.DecodeError:
            continue
        if token.node == node:
            gone.append(DeleteRecord(JOIN_TABLE, record.key))
    return gone


def expired_tokens(records: list[Record], now_s: float) -> list[DeleteRecord]:
    """The changes that remove join tokens past their time, for a caller that makes a new one."""
    gone = []
    for record in records:
        try:
            token = msgspec.json.decode(record.value, type=JoinToken)
        except msgspec.DecodeError:
            continue
        if now_s >= token.expires_s:
            gone.append(DeleteRecord(JOIN_TABLE, record.key))
    return gone
