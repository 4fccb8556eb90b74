"""From files to one `Config`: each file judged alone (so that a refusal names it), then merged in lexical order.

Consul's rules of merging: a later scalar wins, lists are joined, maps are merged. Keys are matched in any letter case and
with or without underscores.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from catalog.server.config.document import ConfigError, SourceFile, read_folder
from catalog.server.config.shapes import DEFINITIONS, NO_COUNTERPART, QUIET, RELOADABLE, Config

_SECTIONS = {"ports", "acl", "acl.tokens", "dns_config", "limits", "connect", "config_entries"}


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, and the keys in it that have no counterpart here (dotted, sorted)."""

    config: Config = Config()
    ignored: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """One line that names what is not honoured; empty if there is nothing to say."""
        return (
            f"these settings have no counterpart here and are ignored: {', '.join(self.ignored)}"
            if self.ignored
            else ""
        )


def load(path: Path) -> Loaded:
    """The configuration of a directory or file. Blocks on the disk.

    Raises:
        ConfigError: a file cannot be used; the text says which, where, and what to do.
        OSError: the folder or a file cannot be read.
    """
    return merge_files(read_folder(path))


def merge_files(files: Sequence[SourceFile]) -> Loaded:
    """One configuration of several files.

    Raises:
        ConfigError: a key is unknown or doubled, or a value has the wrong type.
    """
    merged: dict[str, Any] = {}
    ignored: set[str] = set()
    for file in files:
        try:
            known = _known(file.values, "", ignored)
            _convert(known)
        except ConfigError as error:
            raise ConfigError(f"{file.path}: {error}") from error
        merged = merge(merged, known)
    config = _convert(merged)
    _judge(config)
    return Loaded(config, tuple(sorted(ignored - QUIET)))


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """`second` over `first`: scalars are replaced, lists joined, maps merged."""
    merged = dict(first)
    for key, value in second.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict) and key not in DEFINITIONS:
            merged[key] = merge(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            merged[key] = [*before, *value]
        elif key in {"service", "check"} and before is not None:
            merged[f"{key}s"] = [*merged.get(f"{key}s", []), value]
        else:
            merged[key] = value
    return merged


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """The settings that differ and that a reload does not apply."""
    return tuple(
        field.name
        for field in msgspec.structs.fields(Config)
        if field.name not in RELOADABLE and getattr(old, field.name) != getattr(new, field.name)
    )


def setting_keys() -> frozenset[str]:
    """The folded top-level keys that are settings and no definitions, for whoever reads the definitions beside them."""
    own = {fold(field.name) for field in msgspec.structs.fields(Config) if field.name not in DEFINITIONS}
    return frozenset(own | {fold(name) for name in NO_COUNTERPART[""]})


def fold(key: str) -> str:
    """The form in which keys are compared."""
    return key.replace("_", "").lower()


def _names(section: str) -> Mapping[str, str]:
    """Folded name -> name, of the settings that a section has here."""
    shape: Any = Config
    for step in filter(None, section.split(".")):
        shape = next(field.type for field in msgspec.structs.fields(shape) if field.name == step)
    return {fold(field.name): field.name for field in msgspec.structs.fields(shape)}


def _known(values: Mapping[str, Any], section: str, ignored: set[str]) -> dict[str, Any]:
    """The settings of a section under their own names; what has no counterpart goes to `ignored`.

    Raises:
        ConfigError: nobody knows a key, or it is given twice in two spellings.
    """
    names = _names(section)
    foreign = {fold(name): name for name in NO_COUNTERPART.get(section, ())}
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = names.get(fold(key))
        dotted = f"{section}.{name or key}" if section else (name or key)
        if name is None and fold(key) in foreign:
            if not (section == "ports" and value in {-1, 0}):  # switched off, which it is
                ignored.add(f"{section}.{foreign[fold(key)]}" if section else foreign[fold(key)])
            continue
        if name is None:
            near = difflib.get_close_matches(fold(key), [*names, *foreign], n=1)
            hint = f"did you mean {names.get(near[0]) or foreign[near[0]]}?" if near else "remove it"
            raise ConfigError(f"{dotted[:120]}: unknown setting: {hint}")
        if name in found:
            raise ConfigError(f"{dotted}: given twice, in two spellings: keep one")
        if value is None:
            continue
        if dotted in _SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(f"{dotted}: must be an object of settings")
            value = _known(value, dotted, ignored)  # noqa: PLW2901 - the same setting, read
        found[name] = value
    return found


def _convert(values: Mapping[str, Any]) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at `$.")
        where = at.rstrip("`") or "?"
        raise ConfigError(f"{where}: {text.replace('`', '')}") from error


_POLICIES = {"", "allow", "deny"}
_LEVELS = {"trace", "debug", "info", "warn", "warning", "err", "error"}


def _judge(config: Config) -> None:
    """What a type cannot say.

    Raises:
        ConfigError: a value is out of its range.
    """
    for name, port in (("http", config.ports.http), ("dns", config.ports.dns), ("mesh", config.ports.mesh)):
        if port is not None and not -1 <= port <= 65535:
            raise ConfigError(f"ports.{name}: {port} is no port: 1 to 65535, 0 for a free one, -1 for none")
    if config.acl.default_policy not in _POLICIES:
        raise ConfigError(f"acl.default_policy: {config.acl.default_policy[:20]!r}: must be allow or deny")
    if config.log_level is not None and config.log_level.lower() not in _LEVELS:
        raise ConfigError(f"log_level: {config.log_level[:20]!r}: must be trace, debug, info, warn or error")
    if config.primary_datacenter not in {None, "", config.datacenter or "dc1"}:
        raise ConfigError("primary_datacenter: there is one datacenter here: give its name, or remove the key")
    if config.connect.enabled is False:
        raise ConfigError("connect.enabled: the mesh is always on here: remove the key")
    most = config.limits.http_max_conns_per_client
    if most is not None and most < 1:
        raise ConfigError("limits.http_max_conns_per_client: must be at least 1")
