"""What the calling side shares with the requests under way on it. It decides nothing."""

from typing import Protocol, TypeVar

from mesh.decide.authorise import Permit
from mesh.proxy.http.form import TrunkForms
from mesh.proxy.outbound.directory import Directory
from mesh.proxy.record import Recorder
from mesh.proxy.settings import Limits, Timeouts
from mesh.transport.ring import Ring

Live = TypeVar("Live")


class Calling(Protocol[Live]):
    """The parts of the outbound side that exchanges, which are `live`, use."""

    ring: Ring
    directory: Directory
    recorder: Recorder
    timeouts: Timeouts
    limits: Limits
    forms: TrunkForms
    permit: Permit
    live: dict[Live, None]
