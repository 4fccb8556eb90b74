"""Regular expressions of an operator, run over bytes of a client: full match only.

Must never run in worse than linear time in the value: the value is the client's.
"""

import re
from collections.abc import Callable

MAX_SUBJECT_BYTES = 8192
"""Longest text that a rule judges; a longer one matches no allow and every deny."""


class RegexError(ValueError):
    """The expression cannot be used; the text says why."""


def compile_regex(pattern: str) -> Callable[[bytes], bool]:
    """A test whether all of a text matches `pattern`."""
    try:
        compiled = re.compile(pattern.encode(), re.DOTALL)
    except re.error as error:
        raise RegexError(str(error)) from error
    return lambda text: compiled.fullmatch(text) is not None
