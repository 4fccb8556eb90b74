"""What is passed wins over the environment, which is read for what is not passed (in a process of its own: no patching)."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, catalog.client as linkspan
async def main():
    async with linkspan.Consul(**json.loads(sys.argv[1])) as c:
        print(json.dumps([c.http.base_uri, c.token]))
import trio; trio.run(main)
"""


def made(arguments: dict[str, object], **environment: str) -> list[object]:
    """Where a client made with `arguments` would call, and its token."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CONSUL_", "LINKSPAN_"))}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[object] = json.loads(run.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "environment", "found"),
    [
        ({}, {}, ["http://127.0.0.1:8500", None]),
        ({}, {"CONSUL_HTTP_ADDR": "a:1", "CONSUL_HTTP_TOKEN": "t"}, ["http://a:1", "t"]),
        ({}, {"CONSUL_HTTP_ADDR": "a:1", "LINKSPAN_HTTP_ADDR": "https://b:2"}, ["https://b:2", None]),
        (
            {"host": "c", "port": 3, "token": "own"},
            {"CONSUL_HTTP_ADDR": "a:1", "CONSUL_HTTP_TOKEN": "t"},
            ["http://c:3", "own"],
        ),
        ({"port": 3}, {"CONSUL_HTTP_ADDR": "a:1"}, ["http://127.0.0.1:3", None]),
        ({}, {"CONSUL_HTTP_ADDR": "a:1", "CONSUL_HTTP_SSL": "true"}, ["https://a:1", None]),
        ({"host": "http://[::1]:4"}, {}, ["http://[::1]:4", None]),
    ],
)
def test_arguments_win_over_the_environment(
    arguments: dict[str, object], environment: dict[str, str], found: list[object]
) -> None:
    assert made(arguments, **environment) == found
