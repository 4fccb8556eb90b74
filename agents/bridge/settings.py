"""What a bridge is told, checked before anything is asked: flags to values, and the two sides made from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import catalog.client as linkspan
from agents.bridge.mirror import SameCatalogError
from agents.bridge.side import HttpSide, SideError
from agents.bridge.source import Wanted
from agents.bridge.target import SourceReplacedError
from mesh.model.names import InvalidNameError, check_label
from mesh.sync.link.address import HostPort, InvalidAddressError, parse_host_port

SPARE_CONNECTIONS = 24


class SettingsError(Exception):
    """The operator's fault: a flag or a file that it names; the message says which."""


FAILURES = (SettingsError, SideError, SourceReplacedError, SameCatalogError)
"""What ends a bridge with one line and status 1."""


class Place(msgspec.Struct, frozen=True):
    """How one side is reached. The token is no part of any text that is printed."""

    url: str
    token: str
    ca_file: str = ""


class Settings(msgspec.Struct, frozen=True):
    """One bridge."""

    name: str
    source: Place
    target: Place
    wanted: Wanted
    both: bool = False
    once: bool = False
    dry_run: bool = False
    admin: HostPort | None = None


def settings_of(options: Mapping[str, Any]) -> Settings:
    """The settings of a command's options.

    Raises:
        SettingsError: one of them cannot be.
    """
    try:
        name = check_label(options["name"], "--name")
        admin = parse_host_port(options["admin"]) if options["admin"] else None
        for flag in ("source", "target"):
            linkspan.parse_address(options[flag])
    except (InvalidNameError, InvalidAddressError, linkspan.InvalidAddressError) as error:
        raise SettingsError(str(error)) from error
    wanted = Wanted(
        globs=tuple(options["services"]),
        connect=options["connect"],
        intentions=options["intentions"],
        watches=options["watches"],
        hold_s=options["hold_s"],
    )
    source = Place(options["source"], _token(options["from_token_file"]), str(options["from_ca_file"] or ""))
    target = Place(options["target"], _token(options["to_token_file"]), str(options["to_ca_file"] or ""))
    once = options["once"] or options["dry_run"]
    return Settings(name, source, target, wanted, options["both"], once, options["dry_run"], admin)


def _token(path: Path | None) -> str:
    """The token in a file; empty without one: the environment's is for one side, and may not be sent to both."""
    if path is None:
        return ""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the token file {path} cannot be read: {error}") from error
    if not text:
        raise SettingsError(f"the token file {path} is empty")
    return text


def open_side(word: str, place: Place, watches: int) -> tuple[HttpSide, linkspan.Consul]:
    """A side, and the client under it, which its caller closes. `word` is from or to.

    Raises:
        SettingsError: the roots cannot be read.
    """
    try:
        client = linkspan.Consul(
            place.url, token=place.token, verify=place.ca_file or True, connections=watches + SPARE_CONNECTIONS
        )
    except OSError as error:
        raise SettingsError(f"the CA file {place.ca_file} cannot be read: {error}") from error
    return HttpSide(f"{word} {place.url}", client), client
