"""A snapshot as a file: a gzip tar of `meta.json`, `state.bin` and `SHA256SUMS`, as Consul's is. Pure bytes to values.

The state inside is ours, and Consul's cannot be read: `meta.json` says whose it is. Nothing is believed before its sum
was compared, and nothing grows past its bound while it is unpacked.
"""

import hashlib
import io
import tarfile
import zlib
from typing import Any

import msgspec

MAX_PACKED_BYTES = 128 * 1024 * 1024
MAX_STATE_BYTES = 512 * 1024 * 1024
MAX_META_BYTES = 64 * 1024
MAX_SUMS_BYTES = 4096

META, STATE, SUMS = "meta.json", "state.bin", "SHA256SUMS"
_LIMITS = {META: MAX_META_BYTES, STATE: MAX_STATE_BYTES, SUMS: MAX_SUMS_BYTES}
_TAR_OVERHEAD_BYTES = 64 * 1024


class ArchiveError(ValueError):
    """Whoever sent the archive must send another one; the text says what is wrong with it."""


class Origin(msgspec.Struct, frozen=True, rename="pascal"):
    """Which catalog a snapshot is of."""

    datacenter: str
    trust_domain: str
    version: str = ""


class Description(msgspec.Struct, frozen=True, rename={"id": "ID"}):
    """`meta.json`: Consul's fields, and under `Linkspan` our own."""

    id: str
    linkspan: Origin = msgspec.field(name="Linkspan")
    version: int = msgspec.field(default=1, name="Version")
    index: int = msgspec.field(default=0, name="Index")
    term: int = msgspec.field(default=0, name="Term")
    size: int = msgspec.field(default=0, name="Size")


def pack(origin: Origin, index: int, state: bytes, now_s: float) -> bytes:
    """The archive of a state at `index`. Costs time in proportion to it: call it in a thread."""
    meta = msgspec.json.encode(Description(f"linkspan-{index}", origin, index=index, size=len(state)))
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in ((META, meta), (STATE, state)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=3) as tar:
        for name, data in ((META, meta), (STATE, state), (SUMS, sums.encode())):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), int(now_s), 0o600
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def unpack(packed: bytes) -> tuple[Description, bytes]:
    """What an archive says it is, and the state in it. Costs time in proportion to it: call it in a thread.

    Raises:
        ArchiveError: it is damaged, too large, or not of a Linkspan catalog.
    """
    files = _files(_inflate(packed))
    if missing := sorted(set(_LIMITS) - set(files)):
        raise ArchiveError(f"this is no snapshot: {', '.join(missing)} is missing in it")
    expected = _sums(files[SUMS])
    for name in (META, STATE):
        if hashlib.sha256(files[name]).hexdigest() != expected.get(name):
            raise ArchiveError(f"the snapshot is damaged: the sum of {name} is another one than {SUMS} says")
    return _describe(files[META]), files[STATE]


def _describe(data: bytes) -> Description:
    try:
        meta: Any = msgspec.json.decode(data)
        if isinstance(meta, dict) and "Linkspan" not in meta:
            raise ArchiveError(
                "this is a snapshot of Consul: its state cannot be restored here; move services over with the bridge, "
                "and keys with `consul kv export`"
            )
        return msgspec.convert(meta, Description)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArchiveError(f"the snapshot's {META} cannot be read: {error}") from error


def _sums(data: bytes) -> dict[str, str]:
    lines = (line.split() for line in data.decode("ascii", "replace").splitlines())
    return {words[1]: words[0] for words in lines if len(words) == 2}


def _inflate(packed: bytes) -> bytes:
    limit_bytes = sum(_LIMITS.values()) + _TAR_OVERHEAD_BYTES
    inflate = zlib.decompressobj(wbits=31)  # gzip
    try:
        data = inflate.decompress(packed, limit_bytes)
    except zlib.error as error:
        raise ArchiveError(f"this is no snapshot: not gzip ({error})") from error
    if inflate.unconsumed_tail:
        raise ArchiveError(f"the snapshot is too large: at most {MAX_STATE_BYTES} bytes of state are read")
    if not inflate.eof:
        raise ArchiveError("the snapshot is cut off")
    return data


def _files(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                if info.name not in _LIMITS or not info.isreg() or info.name in files:
                    raise ArchiveError(f"this is no snapshot: {info.name[:80]!r} does not belong into one")
                if info.size > _LIMITS[info.name]:
                    raise ArchiveError(f"the snapshot is too large: {info.name} has {info.size} bytes")
                file = tar.extractfile(info)
                files[info.name] = file.read() if file is not None else b""
    except (tarfile.TarError, EOFError, ValueError, OSError, OverflowError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"this is no snapshot: not a tar file ({error})") from error
    return files
