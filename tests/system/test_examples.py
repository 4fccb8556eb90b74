"""Every example runs as a person would run it: a process of its own, the libraries unmodified."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.fakes.catalog_site import open_site

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MAX_LINES = 10


async def run(example: str, address: str) -> str:
    """What an example prints, pointed at a catalog by the environment."""
    ended = await trio.run_process(
        [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / example)],
        env={**os.environ, "CONSUL_HTTP_ADDR": address},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.decode()
    return ended.stdout.decode()


@pytest.mark.slow
async def test_a_python_consul2_script_registers_blocks_and_sees_the_change() -> None:
    """The script of ten lines: it wakes when the second instance comes, well before its wait ends."""
    async with open_site(everyone_operates=True) as site:
        with trio.fail_after(20):
            printed = await run("register_and_watch.py", site.address)
    assert printed == "registered: ['web-1']\nnow: ['web-1', 'web-2']\n"


def test_the_script_is_short() -> None:
    """Ten statements, no more: that is the point of it."""
    tree = ast.parse((EXAMPLES / "register_and_watch.py").read_text())
    statements = [
        node for node in ast.walk(tree) if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef)
    ]
    assert len(statements) - 1 <= MAX_LINES + 1  # without the docstring
