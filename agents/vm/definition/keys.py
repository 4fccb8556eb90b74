"""From JSON with anyone's key style to a typed struct: `Port`, `port` and `PORT`, `tagged_addresses` and `TaggedAddresses`.

Consul's agent accepts CamelCase, snake_case and any letter case (reference: traps 1 and 12), and python-consul2 sends
lower case. Keys are folded (lower case, no underscores) and looked up in the struct; what is not found, or found twice,
is refused. Keys of free maps (Meta, Config, Header) are left as they stand.
"""

import difflib
import re
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import inspect

MAX_VALUES = 20_000
MAX_DEPTH = 32
_AT = re.compile(r" - at `\$?([^`]*)`$")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+|\.\.\.)\]")

StructT = TypeVar("StructT", bound=msgspec.Struct)
Path = tuple[str | int, ...]


class DefinitionError(ValueError):
    """Whoever wrote the definition must change it: `path` names the field, `reason` says what is wrong."""

    def __init__(self, reason: str, path: Path = ()) -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{show_path(path)}: {reason}" if path else reason)

    def under(self, *prefix: str | int) -> "DefinitionError":
        """The same error seen from further out."""
        return DefinitionError(self.reason, (*prefix, *self.path))


class UnknownFieldError(DefinitionError):
    """A field that no definition has; `field` as it was written."""

    @property
    def field(self) -> str:
        """Its name."""
        return str(self.path[-1])

    def under(self, *prefix: str | int) -> "UnknownFieldError":
        """The same error seen from further out."""
        return UnknownFieldError(self.reason, (*prefix, *self.path))


def show_path(path: Path) -> str:
    """`services[0].port` for ("services", 0, "port")."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def fold(key: str) -> str:
    """The form in which keys are compared."""
    return key.replace("_", "").lower()


def read_struct(value: object, shape: type[StructT]) -> StructT:
    """Convert decoded JSON or YAML to `shape`, whatever its key style.

    Raises:
        DefinitionError: an unknown or doubled key, a wrong type, or more values or depth than any definition needs.
    """
    walker = _Walker()
    plain = walker.walk(value, _info(shape), ())
    try:
        return msgspec.convert(plain, shape)
    except msgspec.ValidationError as error:
        text = str(error)
        at = _AT.search(text)
        path: Path = tuple(
            name or (int(number) if number.isdigit() else "*") for name, number in _STEP.findall(at[1] if at else "")
        )
        raise DefinitionError(_AT.sub("", text).replace("`", ""), path) from error


@cache
def _info(shape: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(shape)


@cache
def _fields(shape: type[msgspec.Struct]) -> dict[str, str]:
    return {fold(field.encode_name): field.encode_name for field in msgspec.structs.fields(shape)}


class _Walker:
    """One pass over one document, counting what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def walk(self, value: object, info: inspect.Type, path: Path) -> object:
        self.seen += 1
        if self.seen > MAX_VALUES or len(path) > MAX_DEPTH:
            raise DefinitionError("too large: a definition has at most 20,000 values, 32 deep", path[:4])
        if isinstance(info, inspect.UnionType):
            info = _member_for(value, info)
        if isinstance(value, dict):
            if isinstance(info, inspect.StructType):
                return self._struct(value, info, path)
            inner = info.value_type if isinstance(info, inspect.DictType) else inspect.AnyType()
            return {_text_key(key, path): self.walk(item, inner, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            item_type = (
                info.item_type if isinstance(info, inspect.ListType | inspect.VarTupleType) else inspect.AnyType()
            )
            return [self.walk(item, item_type, (*path, number)) for number, item in enumerate(value)]
        return value

    def _struct(self, value: dict[object, object], info: inspect.StructType, path: Path) -> dict[str, object]:
        known = _fields(info.cls)
        types = {field.encode_name: field.type for field in info.fields}
        found: dict[str, object] = {}
        for raw_key, item in value.items():
            key = _text_key(raw_key, path)
            name = known.get(fold(key))
            if name is None:
                near = difflib.get_close_matches(fold(key), known, n=1)
                hint = f"did you mean {known[near[0]]!r}?" if near else f"known are {', '.join(sorted(known.values()))}"
                raise UnknownFieldError(f"unknown field; {hint}", (*path, key[:80]))
            if name in found:
                raise DefinitionError(f"field {name!r} is given twice, in two spellings", (*path, key))
            if item is None:
                continue  # null is "not given", as in Go
            found[name] = self.walk(item, types[name], (*path, key))
        return found


def _text_key(key: object, path: Path) -> str:
    if not isinstance(key, str):
        raise DefinitionError(f"key {key!r} must be text: put it in quotes", path)
    return key


def _member_for(value: object, info: inspect.UnionType) -> inspect.Type:
    for member in info.types:
        if isinstance(value, dict) and isinstance(member, inspect.StructType | inspect.DictType):
            return member
        if isinstance(value, list) and isinstance(member, inspect.ListType | inspect.VarTupleType):
            return member
    return inspect.AnyType()
