"""Snapshots as files: what was packed comes out, and nothing else does."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.api.operator.archive import MAX_STATE_BYTES, ArchiveError, Origin, pack, unpack

ORIGIN = Origin("dc1", "test.consul", "1")


def tar_of(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_what_was_packed_comes_out() -> None:
    """With its index and origin; the form is Consul's: gzip, tar, meta.json, state.bin, SHA256SUMS."""
    packed = pack(ORIGIN, 7, b"state", 0.0)
    described, state = unpack(packed)
    assert (state, described.index, described.size, described.linkspan) == (b"state", 7, 5, ORIGIN)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["meta.json", "state.bin", "SHA256SUMS"]
        meta = tar.extractfile("meta.json")
        assert meta is not None
        assert json.load(meta)["ID"] == "linkspan-7"


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"", "cut off"),
        (b"junk", "not gzip"),
        (pack(ORIGIN, 1, b"s", 0.0)[:-4], "cut off"),
        (gzip.compress(b"no tar" * 200), "not a tar file"),
        (tar_of(("meta.json", b"{}")), "SHA256SUMS, state.bin is missing"),
        (tar_of(("../etc/passwd", b"")), "does not belong"),
        (tar_of(("meta.json", b"{}"), ("state.bin", b"s"), ("SHA256SUMS", b"")), "damaged"),
        (tar_of(("meta.json", b"{}"), ("meta.json", b"{}")), "does not belong"),
        (tar_of(("meta.json", b" " * 70_000)), "too large"),
    ],
    ids=["empty", "junk", "cut off", "no tar", "parts missing", "a path", "no sums", "twice", "large"],
)
def test_what_is_no_snapshot_is_refused(packed: bytes, says: str) -> None:
    """Damage, foreign files and sizes are named; nothing of them is unpacked anywhere."""
    with pytest.raises(ArchiveError, match=says):
        unpack(packed)


def test_a_snapshot_of_consul_is_known_as_one() -> None:
    """Its sums are right, but its state is not ours: the text names the ways over."""
    meta, state = b'{"Version":1,"ID":"2-13-1","Index":13,"Term":2}', b"raft"
    sums = "".join(
        f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in (("meta.json", meta), ("state.bin", state))
    ).encode()
    with pytest.raises(ArchiveError, match="snapshot of Consul"):
        unpack(tar_of(("meta.json", meta), ("state.bin", state), ("SHA256SUMS", sums)))


def test_a_bomb_is_not_unpacked() -> None:
    """A megabyte of zeros in a few bytes, many times over, stops at the bound."""
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as file:
        for _ in range(MAX_STATE_BYTES // 2**20 + 2):
            file.write(b"\0" * 2**20)
    with pytest.raises(ArchiveError, match="too large"):
        unpack(bomb.getvalue())


@settings(max_examples=150)
@given(st.binary(max_size=300), st.integers(0, 2000), st.integers(0, 255))
def test_any_bytes_give_a_snapshot_or_the_senders_error(data: bytes, at: int, byte: int) -> None:
    """Noise, and a good snapshot with one byte changed."""
    good = bytearray(pack(ORIGIN, 1, b"state", 0.0))
    good[at % len(good)] = byte
    for packed in (data, bytes(good)):
        try:
            _, state = unpack(packed)
        except ArchiveError:
            continue
        assert state == b"state"
