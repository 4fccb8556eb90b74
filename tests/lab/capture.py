"""Capture what crosses a lab network and judge it: every TCP byte must belong to a TLS record.

The judging is pure (bytes of a pcap file in, findings out). It must never take a gap in a stream for encryption.
"""

import contextlib
import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.hosts.networks import Network
from tests.lab.process import Daemon, LabError, state_directory

# RFC 8446 5.1: content types 20 to 23, legacy versions 3.1 and 3.3, at most 2^14 + 256 bytes.
_CONTENT_TYPES = range(20, 24)
_VERSIONS = (b"\x03\x01", b"\x03\x03")
_RECORD_LIMIT_BYTES = 2**14 + 256
_RECORD_HEAD_BYTES = 5

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6, _ETHERTYPE_ARP = 0x0800, 0x86DD, 0x0806
_IGMP, _TCP, _ICMPV6 = 2, 6, 58
_SYN = 0x02


@dataclass
class Stream:
    """One direction of one TCP connection, its payload by offset from the first sequence number."""

    source: str
    destination: str
    first: int | None = None
    pieces: dict[int, bytes] = field(default_factory=dict)

    def payload(self) -> bytes:
        """The bytes in order; a gap (a segment that the capture lost) raises LabError."""
        whole = bytearray()
        for offset, piece in sorted(self.pieces.items()):
            if offset > len(whole):
                raise LabError(f"{self}: bytes {len(whole)} to {offset} are missing in the capture")
            whole[offset : offset + len(piece)] = piece
        return bytes(whole)

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination}"


@dataclass(frozen=True)
class Traffic:
    """What a capture holds: TCP streams, and a line for each packet that is neither TCP nor address resolution."""

    streams: list[Stream]
    others: list[str]

    def payload_bytes(self) -> int:
        return sum(len(stream.payload()) for stream in self.streams)

    def findings(self) -> list[str]:
        """Everything that is not TLS over TCP; empty when the link showed TLS only."""
        found = [f"not TCP: {line}" for line in self.others]
        faults = ((stream, tls_fault(stream.payload())) for stream in self.streams)
        found += [f"{stream}: {fault}" for stream, fault in faults if fault is not None]
        return found


def tls_fault(data: bytes) -> str | None:
    """Why `data` is no sequence of TLS records, or None when it is; a last record may be cut off by the capture's end."""
    at = 0
    while at + _RECORD_HEAD_BYTES <= len(data):
        content, version = data[at], data[at + 1 : at + 3]
        (size_bytes,) = struct.unpack_from("!H", data, at + 3)
        if content not in _CONTENT_TYPES or version not in _VERSIONS or not 0 < size_bytes <= _RECORD_LIMIT_BYTES:
            return f"no TLS record at byte {at}: {data[at : at + 60]!r}"
        at += _RECORD_HEAD_BYTES + size_bytes
    rest = data[at:]
    if rest and (rest[0] not in _CONTENT_TYPES or not any(v.startswith(rest[1:3]) for v in _VERSIONS)):
        return f"no TLS record at byte {at}: {rest!r}"
    return None


def read_capture(data: bytes) -> Traffic:
    """The traffic of a pcap file (classic format, Ethernet)."""
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        raise LabError(f"no little-endian pcap file: {data[:4]!r}")
    streams: dict[tuple[str, str], Stream] = {}
    done: list[Stream] = []
    others: list[str] = []
    at = 24
    while at + 16 <= len(data):
        size_bytes, original_bytes = struct.unpack_from("<II", data, at + 8)
        frame = data[at + 16 : at + 16 + size_bytes]
        at += 16 + size_bytes
        if size_bytes != original_bytes:
            raise LabError("the capture cut packets off")
        _sort_frame(frame, streams, done, others)
    return Traffic([*done, *streams.values()], others)


def _sort_frame(frame: bytes, streams: dict[tuple[str, str], Stream], done: list[Stream], others: list[str]) -> None:
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    if ethertype == _ETHERTYPE_ARP:
        return
    if ethertype == _ETHERTYPE_IPV4:
        head_bytes, total_bytes = (frame[14] & 15) * 4, struct.unpack_from("!H", frame, 16)[0]
        protocol, addresses = frame[23], (frame[26:30], frame[30:34])
        segment = frame[14 + head_bytes : 14 + total_bytes]
    elif ethertype == _ETHERTYPE_IPV6:
        protocol, addresses = frame[20], (frame[22:38], frame[38:54])
        segment = frame[54 : 54 + struct.unpack_from("!H", frame, 18)[0]]
        # Neighbour discovery and multicast membership, the latter behind a hop-by-hop header, are IPv6's ARP.
        if protocol in {0, _ICMPV6}:
            return
    else:
        others.append(f"ethertype {ethertype:#06x}")
        return
    source, destination = (str(ipaddress.ip_address(address)) for address in addresses)
    if protocol == _IGMP:  # multicast membership: kernels speak it on every link that comes up
        return
    if protocol != _TCP:
        others.append(f"IP protocol {protocol} {source} -> {destination}")
        return
    _sort_segment(segment, (source, destination), streams, done)


def _sort_segment(
    segment: bytes, hosts: tuple[str, str], streams: dict[tuple[str, str], Stream], done: list[Stream]
) -> None:
    source_port, destination_port, sequence = struct.unpack_from("!HHI", segment)
    key = (f"{hosts[0]}:{source_port}", f"{hosts[1]}:{destination_port}")
    payload = segment[(segment[12] >> 4) * 4 :]
    opens = bool(segment[13] & _SYN)
    stream = streams.get(key)
    if stream is None or (opens and stream.first != sequence + 1):
        if stream is not None:
            done.append(stream)
        stream = streams[key] = Stream(*key)
    if stream.first is None:
        stream.first = sequence + opens
    if payload:
        offset = (sequence + opens - stream.first) % 2**32
        if len(payload) > len(stream.pieces.get(offset, b"")):
            stream.pieces[offset] = payload


class Capture:
    """A running capture of one network."""

    def __init__(self, daemon: Daemon, file: Path) -> None:
        self._daemon = daemon
        self._file = file

    def traffic(self) -> Traffic:
        """End the capture and read it."""
        self._daemon.stop()
        return read_capture(self._file.read_bytes())


@contextlib.contextmanager
def capture(network: Network) -> Iterator[Capture]:
    """Capture every packet on a network for the length of a `with` block."""
    with state_directory("capture") as directory:
        file = directory / "packets.pcap"
        options = [
            "-i",
            network.bridge,
            "-w",
            str(file),
            "-U",
            "-s",
            "0",
            "-B",
            "32768",
            "-Z",
            "root",
            "--immediate-mode",
        ]
        daemon = Daemon("tcpdump", [*network.switch.network_prefix(), "tcpdump", *options], directory / "tcpdump.log")
        try:
            daemon.wait_until(lambda: "listening on" in daemon.tail(), "tcpdump to listen", timeout_s=10)
            yield Capture(daemon, file)
        finally:
            daemon.stop()
            if "0 packets dropped by kernel" not in daemon.tail():
                raise LabError(f"the capture lost packets: {daemon.tail()}")
