"""Every example script runs as a person would run it: a process of its own against `linkspan dev`, the libraries unmodified."""

import ast
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LINKSPAN = Path(sys.executable).with_name("linkspan")
MAX_LINES = 10


@asynccontextmanager
async def linkspan_dev() -> AsyncIterator[str]:
    """`linkspan dev` on free ports; the address of its API."""
    process = await trio.lowlevel.open_process(
        [str(LINKSPAN), "dev", "--http-port", "0", "--mesh-port", "0", "--node", "laptop"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = b""
        with trio.fail_after(20):
            while b"API on http://" not in said:
                chunk = await process.stdout.receive_some()
                assert chunk, "linkspan dev ended before it served"
                said += chunk
        yield said.split(b"API on http://")[1].split(b",")[0].decode()
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            await process.wait()
            await process.stdout.aclose()


async def run(example: str, address: str) -> str:
    """What an example prints, pointed at a catalog by the environment."""
    ended = await trio.run_process(
        [sys.executable, str(EXAMPLES / example)],
        env={**os.environ, "CONSUL_HTTP_ADDR": address},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode()
    return ended.stdout.decode()


@pytest.mark.slow
async def test_a_python_consul2_script_registers_blocks_and_sees_the_change() -> None:
    """It wakes when the second instance comes, well before its wait ends."""
    async with linkspan_dev() as address:
        with trio.fail_after(20):
            printed = await run("register_and_watch.py", address)
    assert printed == "registered: ['web-1']\nnow: ['web-1', 'web-2']\n"


def test_the_script_is_short() -> None:
    """Ten statements, no more: that is the point of it."""
    tree = ast.parse((EXAMPLES / "register_and_watch.py").read_text())
    assert len(tree.body) - 1 <= MAX_LINES  # the docstring is none
