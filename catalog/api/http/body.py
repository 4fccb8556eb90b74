"""Request bodies: bounded reading, JSON with Consul's key rules, strict conversion to a struct.

Consul matches keys in any letter case; its agent endpoints take snake_case too; unknown fields and wrong types are
refused with 400 and a text that names the field. It must never let a body grow past its bound, nor nest past
`MAX_DEPTH`, nor touch the keys of free maps (`Meta`, `Config`), which are the caller's own.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from catalog.api.http.errors import BadRequestError

MAX_DEPTH = 32
"""Levels of objects and lists in a body; Consul's deepest entry needs ten."""

_AT = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)

T = TypeVar("T")


def parse_json(raw: bytes, what: str = "Request decode failed") -> Any:
    """The JSON value of `raw`.

    Raises:
        BadRequestError: it is empty, no JSON, or nested deeper than `MAX_DEPTH`.
    """
    if not raw.strip():
        raise BadRequestError(f"{what}: the body is empty: send a JSON object")
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"{what}: {error}") from error
    except RecursionError as error:
        raise BadRequestError(f"{what}: the JSON nests deeper than {MAX_DEPTH} levels") from error
    if _deeper_than(value, MAX_DEPTH):
        raise BadRequestError(f"{what}: the JSON nests deeper than {MAX_DEPTH} levels")
    return value


def decode(raw: bytes, type_: type[T], *, snake_case: bool = False) -> T:
    """The body as a value of `type_`; `snake_case` also matches keys without their underscores (agent endpoints).

    Raises:
        BadRequestError: malformed, an unknown field, or a wrong type; the text names the field.
    """
    return convert(parse_json(raw), type_, snake_case=snake_case)


def convert(value: Any, type_: type[T], *, snake_case: bool = False) -> T:
    """A parsed JSON value as `type_`, keys matched in any letter case.

    Raises:
        BadRequestError: an unknown field or a wrong type; the text names the field.
    """
    normal = _normalise(value, shape_of(type_), snake_case)
    try:
        return msgspec.convert(normal, type_)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"Request decode failed: {name_the_field(str(error))}") from error


def name_the_field(text: str) -> str:
    """A message of msgspec as a sentence that begins with the field: ``field "Service.Port": Expected `int`, got `str` ``."""
    at = _AT.search(text)
    path = at["path"] if at else ""
    text = _AT.sub("", text)
    unknown, missing = _UNKNOWN.fullmatch(text), _MISSING.fullmatch(text)
    if unknown:
        field = unknown["field"][:128]
        return f'unknown field "{path}.{field}"' if path else f'unknown field "{field}"'
    if missing:
        return f'missing field "{path}.{missing["field"]}"' if path else f'missing field "{missing["field"]}"'
    return f'field "{path}": {text}' if path else text


class Shape(msgspec.Struct, frozen=True):
    """How keys are matched below a value: the fields of a struct (key: folded name), or one shape for all items."""

    fields: Mapping[str, tuple[str, "Shape | None"]] | None = None
    items: "Shape | None" = None


_SHAPES: dict[Any, Shape | None] = {}


def shape_of(type_: Any) -> Shape | None:
    """The key shape of a type; None where keys are the caller's own. Made once a type."""
    if type_ not in _SHAPES:
        _SHAPES[type_] = _shape(msgspec.inspect.type_info(type_), ())
    return _SHAPES[type_]


def _shape(info: msgspec.inspect.Type, above: tuple[type, ...]) -> Shape | None:
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in above:  # a type within itself: its inner keys are matched as they stand
            return None
        inner = (*above, info.cls)
        return Shape(
            fields={field.encode_name.lower(): (field.encode_name, _shape(field.type, inner)) for field in info.fields}
        )
    if isinstance(info, msgspec.inspect.UnionType):
        shapes = [shape for option in info.types if (shape := _shape(option, above)) is not None]
        return shapes[0] if len(shapes) == 1 else None
    if isinstance(info, (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)):
        inner_shape = _shape(info.item_type, above)
        return None if inner_shape is None else Shape(items=inner_shape)
    if isinstance(info, msgspec.inspect.DictType):
        inner_shape = _shape(info.value_type, above)
        return None if inner_shape is None else Shape(items=inner_shape)
    return None


def _normalise(value: Any, shape: Shape | None, snake_case: bool) -> Any:
    """`value` with the struct keys of `shape` in their canonical case; `null` fields are dropped, as Go ignores them."""
    if shape is None:
        return value
    if isinstance(value, list):
        return [_normalise(item, shape.items, snake_case) for item in value] if shape.items else value
    if not isinstance(value, dict):
        return value
    if shape.fields is None:
        return {key: _normalise(item, shape.items, snake_case) for key, item in value.items()}
    normal: dict[str, Any] = {}
    for key, item in value.items():
        folded = key.lower()
        known = shape.fields.get(folded)
        if known is None and snake_case:
            known = shape.fields.get(folded.replace("_", ""))
        name, inner = known or (key, None)
        if item is None and known is not None:
            continue
        normal[name] = _normalise(item, inner, snake_case)
    return normal


def _deeper_than(value: Any, levels: int) -> bool:
    """Whether containers nest deeper than `levels`; walks level by level, so that it cannot recurse itself to death."""
    layer, depth = [value], 0
    while layer := [item for item in layer if isinstance(item, (dict, list))]:
        depth += 1
        if depth > levels:
            return True
        layer = [inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return False
