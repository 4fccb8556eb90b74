"""Calls of somebody with other rights than their caller has, for tests of what a handler asks.

It must never be imported by anything but tests.
"""

import msgspec

from catalog.access.authorizer import EVERYTHING, NOTHING
from catalog.api.http.call import Call


def powerless(call: Call) -> Call:
    """The same call, by somebody who may do nothing."""
    return msgspec.structs.replace(call, authorizer=NOTHING)


def mighty(call: Call) -> Call:
    """The same call, by somebody who may do everything."""
    return msgspec.structs.replace(call, authorizer=EVERYTHING)
