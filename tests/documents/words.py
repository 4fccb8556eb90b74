"""The commands in a piece of shell, as lists of words: enough of its grammar for documents. Pure.

It knows comments, continued lines, quotes, here-documents, `;`, `&`, `&&`, `|`, redirections, assignments before a
command, `$(...)` inside double quotes (as one word) and the keywords of loops. It must never run anything.
"""

import re
import shlex

_KEYWORDS = frozenset({"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "{", "}", "time"})
_ENDS = frozenset({";", "&", "&&", "|", "||", "(", ")", ";;"})
_REDIRECTION = re.compile(r"[<>&]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_HERE = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")


class UnreadableShellError(Exception):
    """The author's fault, or a construct that is not known here."""


def read_commands(text: str) -> list[list[str]]:
    """The words of every simple command, without redirections and assignments.

    Raises:
        UnreadableShellError: quotes without an end, a here-document without one.
    """
    commands: list[list[str]] = []
    for line in _logical_lines(text):
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
            lexer.whitespace_split = True
            tokens = list(lexer)
        except ValueError as error:
            raise UnreadableShellError(f"{line!r}: {error}") from error
        commands += _split(tokens)
    return commands


def inner_commands(text: str) -> list[str]:
    """What stands in `$(...)`: shell of its own."""
    return re.findall(r"\$\(([^()]*)\)", text)


def _logical_lines(text: str) -> list[str]:
    lines, found, end = text.replace("\\\n", " ").splitlines(), [], ""
    for line in lines:
        if end:
            end = "" if line.strip() == end else end
            continue
        here = _HERE.search(line)
        end = here[1] if here else ""
        found.append(line)
    if end:
        raise UnreadableShellError(f"a here-document has no end: {end}")
    return found


def _split(tokens: list[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    skip = False
    for token in tokens:
        if skip:
            skip = False
        elif token in _ENDS:
            commands.append([])
        elif _REDIRECTION.fullmatch(token):
            skip = True
            if commands[-1] and commands[-1][-1] in {"1", "2"}:
                commands[-1].pop()
        elif commands[-1] or not (token in _KEYWORDS or _ASSIGNMENT.match(token)):
            commands[-1].append(token)
    return [command for command in commands if command]
