"""Messages of Linkspan's own protocol (`mesh.wire.sync`): strict JSON, names as they stand."""

from typing import TypeVar

import msgspec

from catalog.api.http.body import name_the_field
from catalog.api.http.errors import BadRequestError

T = TypeVar("T")


def read_message(raw: bytes, type_: type[T]) -> T:
    """The message in a body; fields that this version does not know are passed over, so that newer callers are understood.

    Raises:
        BadRequestError: it is none; the text names the field.
    """
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"Request decode failed: {name_the_field(str(error))}") from error
    except RecursionError as error:
        raise BadRequestError("Request decode failed: the JSON nests too deep") from error
