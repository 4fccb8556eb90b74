"""One file of definitions, YAML or JSON, to values; every refusal says line and field where they are known.

Pure: text in, `Document` or `DefinitionError` out. YAML is the safe subset, without doubled keys.
"""

import json
import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import yaml

from agents.vm.definition.checks import check_definition, is_empty
from agents.vm.definition.keys import DefinitionError, Path, fold, read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import CheckShape, DocumentShape
from agents.vm.definition.values import CheckDefinition, Document, ServiceDefinition

MAX_FILE_BYTES = 1024 * 1024

ShapeT = TypeVar("ShapeT")
ValueT = TypeVar("ValueT")


class DocumentError(ValueError):
    """Whoever wrote the file must change it: the message is `line N: field: reason`, as far as known."""


def parse_document(data: bytes, *, is_json: bool, node: str = "", beside: frozenset[str] = frozenset()) -> Document:
    """Everything that one file defines. `beside` are folded top-level keys that others read: settings of the agent.

    Raises:
        DocumentError: it is not what its name says, or a definition in it is refused.
    """
    if len(data) > MAX_FILE_BYTES:
        raise DocumentError(f"the file has {len(data)} bytes, at most {MAX_FILE_BYTES} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"byte {error.start} is not UTF-8") from error
    raw = load_json(text) if is_json else _load_yaml(text)
    if raw is None:
        return Document()
    if not isinstance(raw, dict):
        raise DocumentError("line 1: a file holds service, services, check or checks at its top level")
    try:
        return _document({key: value for key, value in raw.items() if fold(str(key)) not in beside}, node)
    except DefinitionError as error:
        line = _line_of(text, error.path)
        raise DocumentError(f"line {line}: {error}" if line else str(error)) from error


def _document(raw: dict[str, Any], node: str) -> Document:
    shape = read_struct(raw, DocumentShape)
    services = _each(shape.service, shape.services, "service", lambda one: service_definition(one, node=node))
    by_id: dict[str, ServiceDefinition] = {}
    for path, service in services:
        if service.id in by_id:
            raise DefinitionError(f"a second service with the ID {service.id!r}: give one of them another id", path)
        by_id[service.id] = service
    checks = _each(shape.check, shape.checks, "check", lambda one: _node_check(one, node))
    return Document(tuple(by_id.values()), tuple(check for _, check in checks))


def _node_check(shape: CheckShape, node: str) -> CheckDefinition:
    if not shape.name:
        raise DefinitionError("a check outside a service needs a name", ("name",))
    if is_empty(shape):
        raise DefinitionError("is empty")
    return check_definition(shape, check_id=shape.name, name=shape.name, node=node)


def _each(
    single: ShapeT | None,
    many: list[ShapeT],
    field: str,
    make: Callable[[ShapeT], ValueT],
) -> list[tuple[Path, ValueT]]:
    given: list[tuple[Path, ShapeT]] = [((field,), single)] if single is not None else []
    given += [((f"{field}s", number), one) for number, one in enumerate(many)]
    made = []
    for path, one in given:
        try:
            made.append((path, make(one)))
        except DefinitionError as error:
            raise error.under(*path) from error
    return made


def load_json(text: str) -> Any:
    """Decode JSON strictly: no doubled keys, no NaN, nothing that could not be written out again.

    Raises:
        DocumentError: it is no such JSON.
    """
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant, parse_float=_finite)
        check_text(value)
    except json.JSONDecodeError as error:
        raise DocumentError(f"line {error.lineno}: not JSON: {error.msg}") from error
    except DefinitionError as error:
        raise DocumentError(str(error)) from error
    except RecursionError as error:
        raise DocumentError("nested too deeply") from error
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise DocumentError("a number is out of range") from error
    return value


def check_text(value: Any) -> None:
    """Refuse text with half a surrogate pair in it: it has no UTF-8, so that nobody could be sent it (RFC 8259 8.2).

    Raises:
        DefinitionError: there is such text, as a key or a value.
    """
    todo, seen = [value], set()
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError as error:
                raise DefinitionError(f"{ascii(item)[:80]} has half a surrogate pair, which is no text") from error
        elif isinstance(item, (dict, list)) and id(item) not in seen:  # YAML's aliases may lead anywhere twice
            seen.add(id(item))
            todo += item if isinstance(item, list) else [*item, *item.values()]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DefinitionError(f"{text[:40]} is out of range")
    return number


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DefinitionError(f"key {key[:80]!r} is given twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise DefinitionError(f"{name} is not JSON")


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe subset, and no doubled keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen if isinstance(key.value, str) else True:
                raise yaml.MarkedYAMLError(
                    problem=f"key {str(key.value)[:80]!r} is given twice, or is no text", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _load_yaml(text: str) -> Any:
    try:
        value = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader, only stricter
        check_text(value)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise DocumentError(f"{where}not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not YAML: {error}".splitlines()[0]) from error
    except DefinitionError as error:
        raise DocumentError(str(error)) from error
    except (RecursionError, ValueError, TypeError) as error:
        raise DocumentError(f"not YAML that can be read: {error}".splitlines()[0]) from error
    return value


def _line_of(text: str, path: Path) -> int:
    """The line on which the deepest known step of `path` stands; 0 if the text cannot be walked (JSON is YAML, nearly)."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return 0
    line = 0
    for step in path:
        if isinstance(node, yaml.MappingNode):
            hit = next(((key, value) for key, value in node.value if fold(str(key.value)) == fold(str(step))), None)
            if hit is None:
                break
            line, node = hit[0].start_mark.line + 1, hit[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
