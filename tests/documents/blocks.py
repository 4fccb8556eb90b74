"""Blocks of commands in Markdown, each with the mark that says where it runs. Pure.

A mark is a comment on the line before the fence (blank lines may stand between):

| mark | meaning |
|---|---|
| `<!-- run: here -->` | run, in the document's order, in one shell, in a directory and network of its own, as an ordinary user |
| `<!-- run: elsewhere -->` | needs another machine, root or much time: its syntax and the flags of its commands are checked |

A shell block without a mark is a mistake, and so is a fence without a language (`text` for what is no code).
"""

import re
from pathlib import Path

import msgspec

SHELL = frozenset({"sh", "bash", "shell", "console"})
MARKS = frozenset({"here", "elsewhere"})
_MARK = re.compile(r"<!--\s*run:\s*(\S+)\s*-->")
_FENCE = re.compile(r"^(\s*)(```+|~~~+)\s*([^\s`]*)[^`]*$")


class DocumentError(Exception):
    """The author's fault: a block that nobody can judge; the text says where and what to write."""


class Block(msgspec.Struct, frozen=True):
    """One fenced block: the line of its fence (from 1), its language, its mark (empty: none) and its text."""

    line: int
    language: str
    mark: str
    text: str


def read_blocks(name: str, text: str) -> list[Block]:
    """All fenced blocks of a document.

    Raises:
        DocumentError: a fence without a language or an end, or a shell block without a known mark.
    """
    blocks: list[Block] = []
    mark, lines = "", iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        found = _FENCE.match(line)
        if found is None:
            named = _MARK.fullmatch(line.strip())
            mark = named[1] if named else mark if not line.strip() else ""
            continue
        indent, fence, language = found.groups()
        content: list[str] = []
        for _, inner in lines:
            if inner.strip() == fence:
                break
            content.append(inner.removeprefix(indent))
        else:
            raise DocumentError(f"{name}:{number}: the block has no end")
        block = Block(number, language, mark, "\n".join(content) + "\n")
        _check(name, block)
        blocks.append(block)
        mark = ""
    return blocks


def _check(name: str, block: Block) -> None:
    where = f"{name}:{block.line}"
    if not block.language:
        raise DocumentError(f"{where}: say what the block is: ```sh, ```json, ... or ```text")
    if block.language in SHELL and block.mark not in MARKS:
        raise DocumentError(
            f"{where}: say where the commands run, on the line before them: <!-- run: here --> or <!-- run: elsewhere -->"
        )
    if block.language not in SHELL and block.mark:
        raise DocumentError(f"{where}: only shell blocks run, not {block.language}")


def commands_of(block: Block) -> str:
    """What of a shell block is for the shell: in a `console` block the lines after `$ `, else all."""
    if block.language != "console":
        return block.text
    return "".join(f"{line[2:]}\n" for line in block.text.splitlines() if line.startswith("$ "))


def documents(root: Path) -> list[Path]:
    """The documents that hold commands for users."""
    return [
        root / "README.md",
        root / "CONTRIBUTING.md",
        root / "systemd" / "README.md",
        root / "helm" / "linkspan" / "README.md",
        *sorted((root / "docs").rglob("*.md")),
    ]
