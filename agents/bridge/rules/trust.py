"""When a source is believed about what it no longer shows. Pure: the time is an argument.

After a start, an error, or an index that went back, what is missing may be missing for no good reason: the catalog may
have been restored, emptied, or asked while it could not know. Only after `hold_s` without another such sign is it
asked again, consistently, and believed.
"""

import msgspec


class Trust(msgspec.Struct, frozen=True):
    """The last reason for doubt and when it was seen."""

    since_s: float
    reason: str

    def believes(self, now_s: float, hold_s: float) -> bool:
        """Whether the last doubt is long enough ago."""
        return now_s - self.since_s >= hold_s


def next_index(before: int, after: int) -> tuple[int, bool]:
    """The index to wait from, and whether it went back (Consul's rule for clients: then begin anew, and never use 0)."""
    if after < before:
        return 0, True
    return max(1, after), False
