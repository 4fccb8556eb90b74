"""Reading a config entry's JSON strictly into a typed value.

Keys may be written as in Consul's API (`ConnectTimeout`), its files (`connect_timeout`) or in another letter case.
Whatever is not a field of the kind is refused by name, and so is every field of Consul Enterprise, unless it is empty.
What is kept without being acted on is named to its writer (`idle_fields`): a setting is never ignored in silence.
Nothing here guesses types: `"5"` is no number.
"""

import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from catalog.compile.entries.duration import Duration, InvalidDurationError, parse_duration

MAX_DEPTH = 24


class ConfigEntryError(Exception):
    """The caller's config entry cannot be used. `status` is the HTTP status that says so, the text names the field."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class EntryValue(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """A struct inside a config entry: CamelCase in JSON, unknown fields refused.

    `unsupported` names Consul's fields that are accepted only while empty; `neutral` values of them count as empty.
    `idle` names those that are kept and shown, and that no proxy of this version acts on: whoever sets one is told.
    """

    unsupported: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = types.MappingProxyType({})
    idle: ClassVar[tuple[str, ...]] = ()


class EntryHead(EntryValue, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """What every kind carries: its name and free meta data. Consul's indexes and hash are read over."""

    name: str
    meta: dict[str, str] = msgspec.field(default_factory=dict)

    passive: ClassVar[tuple[str, ...]] = ("CreateIndex", "ModifyIndex", "Hash")


V = TypeVar("V", bound=EntryValue)


def fold(key: str) -> str:
    """The spelling in which keys are compared: letter case and underscores do not count."""
    return key.replace("_", "").lower()


def read_value(body: object, kind: type[V]) -> V:
    """Read a JSON object as the struct `kind`.

    Raises:
        ConfigEntryError: status 400; a field is unknown, has the wrong type, or is not carried out by this version.
    """
    _check_depth(body)
    shaped = _shape(body, kind, "")
    try:
        return msgspec.convert(shaped, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigEntryError(400, f"Config entry: {error}") from error


def write_value(value: EntryValue) -> dict[str, Any]:
    """The canonical JSON object of a struct: CamelCase keys, defaults left out, durations as Go prints them."""
    built = msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encode))
    assert isinstance(built, dict)
    return built


def idle_fields(value: EntryValue, path: str = "") -> list[str]:
    """The fields that are set in `value` and that no proxy of this version acts on, by path."""
    found: list[str] = []
    for field in msgspec.structs.fields(type(value)):
        part = getattr(value, field.name)
        where = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name in value.idle:
            if not _unset(part):
                found.append(where)
        elif isinstance(part, EntryValue):
            found += idle_fields(part, where)
        elif isinstance(part, tuple):
            for i, item in enumerate(part):
                found += idle_fields(item, f"{where}[{i}]") if isinstance(item, EntryValue) else []
        elif isinstance(part, dict):
            for key, item in part.items():
                found += idle_fields(item, f"{where}[{key!r}]") if isinstance(item, EntryValue) else []
    return found


def _unset(value: object) -> bool:
    """Whether nothing is said: a zero value, or a struct of nothing but those."""
    if isinstance(value, EntryValue):
        return all(_unset(getattr(value, field.name)) for field in msgspec.structs.fields(type(value)))
    return not value


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        try:
            return parse_duration(value)
        except InvalidDurationError as error:
            raise ValueError(str(error)) from error
    raise NotImplementedError(kind)


def _encode(value: object) -> object:
    if isinstance(value, Duration):
        return str(value)
    raise NotImplementedError(type(value))


def _check_depth(body: object) -> None:
    """Refuse what is nested deeper than any entry is, before anything here recurses into it."""
    level = [body]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for value in level
            if isinstance(value, (dict, list))
            for part in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ConfigEntryError(400, f"Config entry: the body is nested deeper than {MAX_DEPTH} levels")


def _shape(value: object, kind: Any, path: str) -> object:
    """Rename the keys of every struct inside `value` to those of its type, and drop what is null or neutral."""
    inner = _unwrap(kind)
    if typing.get_origin(inner) is None and isinstance(inner, type) and issubclass(inner, EntryValue):
        return _shape_struct(value, inner, path)
    origin = typing.get_origin(inner)
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(inner)[0]
        return [_shape(part, item, f"{path}[{i}]") for i, part in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        item = typing.get_args(inner)[1]
        return {key: _shape(part, item, f"{path}[{key!r}]") for key, part in value.items()}
    return value


def _shape_struct(value: object, kind: type[EntryValue], path: str) -> object:
    if not isinstance(value, dict):
        where = path or "the body"
        raise ConfigEntryError(400, f"Config entry: {where} must be an object, not {_type_name(value)}")
    fields = {fold(field.encode_name): field for field in msgspec.structs.fields(kind)}
    refused = {fold(name): name for name in kind.unsupported}
    passive = {fold(name) for name in getattr(kind, "passive", ())}
    shaped: dict[str, object] = {}
    for key, part in value.items():
        where = f"{path}.{key}" if path else key
        folded = fold(key)
        if folded in fields:
            field = fields[folded]
            if field.encode_name in shaped:
                raise ConfigEntryError(400, f"Config entry: field {where} is given twice")
            if part is not None:
                shaped[field.encode_name] = _shape(part, field.type, where)
        elif folded in refused:
            if not _empty(part) and part not in kind.neutral.get(refused[folded], ()):
                raise ConfigEntryError(400, f"Config entry: field {where} is not supported by this version; remove it")
        elif folded not in passive:
            raise ConfigEntryError(400, f"Config entry: unknown field {where}")
    return shaped


def _unwrap(kind: Any) -> Any:
    """`X` of `X | None` and `X | UnsetType`; any other type as it is."""
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        parts = [part for part in typing.get_args(kind) if part not in {types.NoneType, msgspec.UnsetType}]
        if len(parts) == 1:
            return parts[0]
    return kind


def _empty(value: object) -> bool:
    """Whether nothing is set: Go's zero values, and objects and lists of nothing but these."""
    if isinstance(value, dict):
        return all(_empty(part) for part in value.values())
    return not value


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
