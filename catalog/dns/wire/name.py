r"""Domain names in wire form without compression, e.g. `b"\x03web\x07service\x06consul\x00"`; letter case is kept.

It must never follow a pointer but to a place before it, so that a loop cannot be built (RFC 1035 4.1.4).
"""

LABEL_LIMIT = 63
NAME_LIMIT = 255
ROOT = b"\0"


class FormatError(Exception):
    """The sender's fault: these bytes are no DNS message (RCODE 1)."""


class UnfitNameError(ValueError):
    """A text that is no domain name: an empty label, or one that is too long."""


def encode_name(text: str) -> bytes:
    """The wire form of `web.service.consul`, with or without the last dot; empty is the root.

    Raises:
        UnfitNameError: a label is empty or over 63 bytes, or the name is over 255.
    """
    text = text.removesuffix(".")
    return name_of(text.encode("utf-8", "surrogateescape").split(b".")) if text else ROOT


def name_of(labels: list[bytes]) -> bytes:
    """The wire form of labels, the host's first.

    Raises:
        UnfitNameError: a label is empty or over 63 bytes, or the name is over 255.
    """
    parts = []
    for label in labels:
        if not 0 < len(label) <= LABEL_LIMIT:
            raise UnfitNameError(f"{label[:80]!r} is no label of a domain name: it has 1 to 63 bytes")
        parts.append(bytes((len(label),)) + label)
    name = b"".join(parts) + ROOT
    if len(name) > NAME_LIMIT:
        raise UnfitNameError(f"{name[:80]!r}... is over {NAME_LIMIT} bytes")
    return name


def labels_of(name: bytes) -> list[bytes]:
    """The labels of a name in wire form, the host's first."""
    labels = []
    at = 0
    while size := name[at]:
        labels.append(name[at + 1 : at + 1 + size])
        at += 1 + size
    return labels


def text_of(name: bytes) -> str:
    """The name as text with its last dot, for logs and messages."""
    return ".".join(label.decode("ascii", "backslashreplace") for label in labels_of(name)) + "."


def read_name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at an offset of a message, pointers resolved, and the offset after it.

    Raises:
        FormatError: it runs out of the message, is over 255 bytes, or points forward or in a circle.
    """
    name = b""
    after = 0
    lowest = at
    while True:
        if at >= len(data):
            raise FormatError("a name runs out of the message")
        size = data[at]
        if size == 0:
            return name + ROOT, after or at + 1
        if size <= LABEL_LIMIT:
            name += data[at : at + 1 + size]
            at += 1 + size
            if len(name) >= NAME_LIMIT:
                raise FormatError("a name is over 255 bytes")
            continue
        if size < 0xC0 or at + 1 >= len(data):
            raise FormatError("a name has a label of no known kind")
        after = after or at + 2
        at = (size & 0x3F) << 8 | data[at + 1]
        if at >= lowest:
            raise FormatError("a name points forward")
        lowest = at
