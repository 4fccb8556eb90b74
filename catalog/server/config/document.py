"""The files of a configuration directory as plain values: JSON and YAML, in lexical order, bounded, without doubled keys.

Nothing here knows what a key means.
"""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import msgspec
import yaml

SUFFIXES = (".json", ".yaml", ".yml")
MAX_FILES = 1024
MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32


class ConfigError(ValueError):
    """Whoever wrote the file must change it: the text is `file: key: what to do`."""


class SourceFile(msgspec.Struct, frozen=True):
    """One file and its top-level object."""

    path: Path
    values: dict[str, Any]


def read_folder(path: Path) -> tuple[SourceFile, ...]:
    """The files of a folder (or the one file that `path` is), in lexical order. Blocks on the disk.

    Raises:
        ConfigError: a file is no object of JSON or YAML, or there are too many or too large ones.
        OSError: the folder or a file cannot be read.
    """
    files = [path] if path.is_file() else sorted(path.iterdir())
    hcl = next((one for one in files if one.suffix == ".hcl" and not one.name.startswith(".")), None)
    if hcl is not None:
        raise ConfigError(f"{hcl}: HCL is not read: write the same keys as JSON or YAML")
    files = [one for one in files if one.suffix in SUFFIXES and not one.name.startswith(".")]
    if len(files) > MAX_FILES:
        raise ConfigError(f"{path}: {len(files)} files: at most {MAX_FILES} are read")
    return tuple(SourceFile(one, read_file(one)) for one in files)


def read_file(path: Path) -> dict[str, Any]:
    """The object that one file holds; an empty file is an empty object.

    Raises:
        ConfigError: it holds none, or is too large.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: more than {MAX_FILE_BYTES} bytes: split it into several files")
    try:
        return parse(data, is_json=path.suffix == ".json")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(data: bytes, *, is_json: bool) -> dict[str, Any]:
    """The object in `data`.

    Raises:
        ConfigError: it is none.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"byte {error.start} is not UTF-8: save it as UTF-8") from error
    if not text.strip():
        return {}
    value = _load_json(text) if is_json else _load_yaml(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError("it must hold one object of keys and values at its top level")
    if _deeper_than(value, MAX_DEPTH):
        raise ConfigError(f"it nests deeper than {MAX_DEPTH} levels: no setting needs that")
    return value


def _load_json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError("it nests too deeply") from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(f"{key[:80]}: given twice: keep one")
        found[key] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ConfigError(f"{name} is not JSON")


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe subset, without doubled keys and without keys that are no text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key.value, str) else "?"
            if key.tag != "tag:yaml.org,2002:str" or name in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: {name[:80]}: given twice, or no text: keep one, put it in quotes")
            seen.add(name)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):  # an alias can grow without bound
            raise ConfigError("YAML aliases are not read: write the value again")
        return super().compose_node(parent, index)


def _load_yaml(text: str) -> Any:
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader, only stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{where}not YAML: {error.problem or error.context}") from error
    except ConfigError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ConfigError(f"not YAML that can be read: {error}".splitlines()[0]) from error


def _deeper_than(value: Any, levels: int) -> bool:
    layer, depth = [value], 0
    while layer := [item for item in layer if isinstance(item, (dict, list))]:
        depth += 1
        if depth > levels:
            return True
        layer = [inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return False
