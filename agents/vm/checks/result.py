"""What one run of a probe found. Values only."""

import msgspec

from mesh.model.endpoint import Health


class Result(msgspec.Struct, frozen=True):
    """A state and its text."""

    status: Health
    output: str
