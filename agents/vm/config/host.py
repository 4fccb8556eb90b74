"""What `linkspan agent` takes from Consul's settings that stand beside the definitions in its service files.

Who moves a host over need not sort its configuration directory first. An agent must start whatever stands there: what cannot be read is said, and counts as nothing.
"""

from pathlib import Path

import msgspec

from catalog.server.config.document import ConfigError
from catalog.server.config.read import load
from catalog.server.config.shapes import DEFINITIONS, Config

_TAKEN = {"enable_script_checks", "enable_local_script_checks"}


class HostSettings(msgspec.Struct, frozen=True):
    """`scripts`: script checks in files are run. `warning`: what was found and does nothing, one line; empty for nothing."""

    scripts: bool = False
    warning: str = ""


def host_settings(path: Path) -> HostSettings:
    """The settings in a directory of service files. Blocks on the disk."""
    try:
        loaded = load(path)
    except (ConfigError, OSError) as error:
        return HostSettings(warning=f"settings are not read: {error}")
    config, default = loaded.config, Config()
    idle = [
        field.name
        for field in msgspec.structs.fields(Config)
        if field.name not in _TAKEN | DEFINITIONS and getattr(config, field.name) != getattr(default, field.name)
    ]
    named = sorted({*idle, *loaded.ignored})
    warning = (
        f"these settings are not an agent's (flags and `linkspan join` say them) and are ignored: {', '.join(named)}"
    )
    scripts = bool(config.enable_script_checks or config.enable_local_script_checks)
    return HostSettings(scripts, warning if named else "")
