"""`linkspan kv`: get, put, delete, list, export and import keys, as `consul kv` does, over the client.

Flags to calls and answers to text: it decides nothing. A value is printed as it is, byte for byte.
"""

import base64
import json
from typing import Any

import click

from catalog.client.command import call, connection_options


@click.group()
def kv() -> None:
    """Keys and their values."""


@kv.command("get")
@click.argument("key", default="")
@click.option("--recurse", is_flag=True, help="Every key that begins with KEY, as key:value lines.")
@click.option("--detailed", is_flag=True, help="Also flags, lock and indexes.")
@click.option("--base64", "as_base64", is_flag=True, help="Values in base64.")
@connection_options
def get_key(key: str, **flags: Any) -> None:
    """Print the value of KEY."""
    if not key and not flags["recurse"]:
        raise click.UsageError("name a key, or give --recurse")
    _, found = call(
        flags["http_addr"], flags["token_file"], lambda client: client.kv.get(key, recurse=flags["recurse"])
    )
    if not found:
        raise click.ClickException(f"no key exists at: {key}")
    rows = found if flags["recurse"] else [found]
    for row in rows:
        value = row["Value"] or b""
        value = base64.b64encode(value) if flags["as_base64"] else value
        if flags["detailed"]:
            for field in ("CreateIndex", "Flags", "Key", "LockIndex", "ModifyIndex"):
                click.echo(f"{field:<16} {row[field]}")
            click.echo(f"{'Session':<16} {row.get('Session') or '-'}")
            click.echo(b"%-16s " % b"Value" + value + b"\n" * (1 + (row is not rows[-1])), nl=False)
        else:
            click.echo(row["Key"].encode() + b":" + value if flags["recurse"] else value)


@kv.command("put")
@click.argument("key")
@click.argument("value", default="")
@click.option("--file", "file", type=click.File("rb"), help="Take the value from a file; '-' is standard input.")
@click.option("--flags", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option("--cas", is_flag=True, help="Write only over the key at --modify-index.")
@click.option(
    "--modify-index", type=click.IntRange(min=0), default=None, help="Index for --cas; 0: there must be none."
)
@click.option("--acquire", is_flag=True, help="Take the lock for --session.")
@click.option("--release", is_flag=True, help="Give up the lock of --session.")
@click.option("--session", default="", help="The session to lock with.")
@connection_options
def put_key(key: str, value: str, **flags: Any) -> None:
    """Write VALUE to KEY."""
    if flags["cas"] != (flags["modify_index"] is not None):
        raise click.UsageError("--cas and --modify-index go together")
    if (flags["acquire"] or flags["release"]) != bool(flags["session"]):
        raise click.UsageError("--session goes with --acquire or --release")
    if value and flags["file"]:
        raise click.UsageError("give a value or --file, not both")
    body = flags["file"].read() if flags["file"] else value.encode()
    lock = {name: flags["session"] for name in ("acquire", "release") if flags[name]}
    written = call(
        flags["http_addr"],
        flags["token_file"],
        lambda client: client.kv.put(key, body, cas=flags["modify_index"], flags=flags["flags"], **lock),
    )
    if not written:
        why = "the key is not at that index" if flags["cas"] else "the lock is not to be had"
        raise click.ClickException(f"not written to {key}: {why}")
    click.echo(f"Success! Data written to: {key}")


@kv.command("delete")
@click.argument("key", default="")
@click.option("--recurse", is_flag=True, help="Every key that begins with KEY.")
@click.option("--cas", is_flag=True, help="Delete only the key at --modify-index.")
@click.option("--modify-index", type=click.IntRange(min=1), default=None, help="Index for --cas.")
@connection_options
def delete_key(key: str, **flags: Any) -> None:
    """Delete KEY."""
    if flags["cas"] != (flags["modify_index"] is not None):
        raise click.UsageError("--cas and --modify-index go together")
    if not key and not flags["recurse"]:
        raise click.UsageError("name a key, or give --recurse")
    deleted = call(
        flags["http_addr"],
        flags["token_file"],
        lambda client: client.kv.delete(key, recurse=flags["recurse"] or None, cas=flags["modify_index"]),
    )
    if not deleted:
        raise click.ClickException(f"not deleted: {key} is not at that index")
    click.echo(f"Success! Deleted keys with prefix: {key}" if flags["recurse"] else f"Success! Deleted key: {key}")


@kv.command("list")
@click.argument("prefix", default="")
@click.option("--separator", default="", help="Cut names after this text, once each (as directories).")
@connection_options
def list_keys(prefix: str, separator: str, **flags: Any) -> None:
    """Print the names of the keys that begin with PREFIX."""
    for name in _names(prefix, separator, flags):
        click.echo(name)


def _names(prefix: str, separator: str, flags: Any) -> list[str]:
    _, found = call(
        flags["http_addr"],
        flags["token_file"],
        lambda client: client.kv.get(prefix, keys=True, separator=separator or None),
    )
    return found or []


@kv.command("export")
@click.argument("prefix", default="")
@connection_options
def export_keys(prefix: str, http_addr: str | None, token_file: Any) -> None:
    """Print the keys that begin with PREFIX as JSON, as `import` reads it."""
    _, found = call(http_addr, token_file, lambda client: client.kv.get(prefix, recurse=True))
    rows = [
        {"key": row["Key"], "flags": row["Flags"], "value": base64.b64encode(row["Value"] or b"").decode()}
        for row in found or ()
    ]
    click.echo(json.dumps(rows, indent=2))


@kv.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--prefix", default="", help="Put before every key.")
@connection_options
def import_keys(file: Any, prefix: str, http_addr: str | None, token_file: Any) -> None:
    """Write the keys in a JSON FILE that `export` made ('-' is standard input)."""
    try:
        rows = [
            (prefix + row["key"], base64.b64decode(row["value"] or "", validate=True), int(row.get("flags") or 0))
            for row in json.load(file)
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.ClickException(f"{getattr(file, 'name', '-')}: not what `kv export` prints: {error!r}") from error

    async def write(client: Any) -> None:
        for key, value, flags in rows:
            await client.kv.put(key, value, flags=flags)
            click.echo(f"Imported: {key}")

    call(http_addr, token_file, write)
