"""The deadline of a request, carried hop by hop as the milliseconds that are left.

Each hop takes the smaller of its own time-out and what the caller says is left, so no hop works for a caller that has
given up. A caller can only shorten. `now_s` is monotonic.
"""

import re
from math import inf

from mesh.decide.match import Fields

DEADLINE_FIELD = b"x-linkspan-deadline-ms"
_MILLISECONDS = re.compile(rb"[0-9]{1,9}")
_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNITS_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def remaining_s(fields: Fields) -> float | None:
    """What the caller says is left, from `x-linkspan-deadline-ms` and `grpc-timeout`; None when it says nothing usable."""
    least: float | None = None
    for name, value in fields:
        if name == DEADLINE_FIELD and _MILLISECONDS.fullmatch(value):
            left_s = int(value) / 1000
        elif name == b"grpc-timeout" and (match := _GRPC.fullmatch(value)):
            left_s = int(match[1]) * _GRPC_UNITS_S[match[2]]
        else:
            continue
        least = left_s if least is None or left_s < least else least
    return least


def deadline_s(now_s: float, request_timeout_s: float, left_s: float | None) -> float:
    """When the request must be done; infinity when neither the route (0: off) nor the caller bounds it."""
    own_s = now_s + request_timeout_s if request_timeout_s > 0 else inf
    return own_s if left_s is None else min(own_s, now_s + left_s)


def deadline_field(now_s: float, at_s: float) -> tuple[bytes, bytes] | None:
    """The field that tells the next hop what is left (at least 1 ms, so that it can still answer 504); None without end."""
    if at_s == inf:
        return None
    return DEADLINE_FIELD, b"%d" % min(max(1, int((at_s - now_s) * 1000)), 999_999_999)
