"""One line of the table: an endpoint and a method, what becomes of them here, and how a test proves it."""

import re
from dataclasses import dataclass

_PLACE = re.compile(r":\w+")


@dataclass(frozen=True)
class Row:
    """`kind` is the reference's class: E essential, U useful, O optional, L legacy; `own` is Linkspan's.

    `verdict`: `yes` is as Consul, `truth` is Consul's form with what is true here, `no` is refused with `status` and `text`.
    `sample` is what stands for the path's parameters in a test's request.
    """

    method: str
    path: str
    kind: str
    parameters: str = ""
    verdict: str = "yes"
    remark: str = ""
    status: int = 0
    text: str = ""
    sample: str = "x"

    @property
    def target(self) -> str:
        """A path to send."""
        return _PLACE.sub(self.sample, self.path)

    @property
    def pattern(self) -> str:
        """The path with all its places alike, to compare with a route's."""
        return _PLACE.sub(":", self.path)


def route_pattern(path: str) -> str:
    """A route's path in the same form."""
    return re.sub(r"\{\w+(?::\w+)?\}", ":", path)


READ = "index, wait, stale, consistent, cached, pretty"
LIST = f"{READ}, filter, near, node-meta"
