"""Keys in paths: what is a key, and which paths are redirected (reference: measured traps 7).

Pure text. Consul's server cleans a path before it looks at it, and tells the caller where the clean one is: `//`, `.`
and `..` get 307, and so does the family without its slash.
"""

from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor

from catalog.api.http.call import Call
from catalog.api.http.errors import ApiError

FAMILY = "/v1/kv"


class _AnyText(Convertor[str]):
    """The rest of a path, line breaks and all, which starlette's own `path` stops at."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("key", _AnyText())


class RedirectError(ApiError):
    """307: the caller should ask again at `Location`."""

    status = 307

    def __init__(self, location: str) -> None:
        super().__init__("")
        self.headers = ((b"location", location.encode("ascii")),)


def key_of(call: Call) -> str:
    """The key that a path names; may be empty.

    Raises:
        RedirectError: the path is not clean.
    """
    key = call.path.get("key")
    path = FAMILY if key is None else f"{FAMILY}/{key}"
    clean = clean_path(path) if key is not None else f"{FAMILY}/"
    if clean != path:
        raise RedirectError(quote(clean, safe="/~!$&'()*+,;=:@") + query_text(call))
    assert key is not None
    return key


def clean_path(path: str) -> str:
    """`path` without empty segments, `.` and `..`; a slash at its end stays, as does one after `.` or `..`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    ends_in_slash = path.endswith("/") and bool(parts)
    return "/" + "/".join(parts) + ("/" if ends_in_slash else "")


def query_text(call: Call) -> str:
    """The query string anew, without the token: a redirect's target is logged by many."""
    pairs = [(name, value) for name, values in call.query.values.items() if name != "token" for value in values]
    shown = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" if value else quote(name, safe="") for name, value in pairs
    )
    return f"?{shown}" if shown else ""
