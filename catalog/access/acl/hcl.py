r"""The part of HCL that ACL rules are written in: attributes, labelled blocks, strings, lists, comments.

    # a comment
    key_prefix "app/" { policy = "write" }
    operator = "read"

Pure text to values, bounded in size and depth. A key that comes twice keeps both values, in order, as HCL's own readers
do. Heredocs, interpolation and arithmetic are no part of it: they are refused, never half understood.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

MAX_LENGTH = 256 * 1024
MAX_DEPTH = 16

Body = dict[str, list[Any]]
"""What stands in braces: key -> the values it was given. A value is a str, int, float, bool, list or `Body`."""


class HclError(ValueError):
    """The writer's fault: the text says at which line, and what is wrong there."""


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r]+)
    | (?P<line>\n)
    | (?P<comment>(?:\#|//)[^\n]*|/\*.*?\*/)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<number>-?\d{1,18}(?:\.\d{1,18})?(?![\w.]))
    | (?P<word>[A-Za-z_][\w.\-]*)
    | (?P<mark>[{}\[\]=,:;])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)


def parse_hcl(text: str) -> Body:
    """The body that `text` is.

    Raises:
        HclError: it is too long, nested too deeply, or not in the language.
    """
    if len(text) > MAX_LENGTH:
        raise HclError(f"longer than {MAX_LENGTH} characters")
    return _Parser(list(_lex(text))).whole()


def _lex(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise HclError(f"line {line}: unexpected {text[at : at + 10]!r}")
        kind = match.lastgroup or ""
        if kind not in {"space", "line", "comment"}:
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")
        at = match.end()
    yield _Token("end", "", line)


class _Parser:
    """Recursive descent over the tokens; `MAX_DEPTH` bounds the recursion."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def whole(self) -> Body:
        body = self._body(0)
        if self._peek().kind != "end":
            raise self._unexpected("a key")
        return body

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _is(self, mark: str) -> bool:
        if self._peek().kind == "mark" and self._peek().text == mark:
            self._at += 1
            return True
        return False

    def _unexpected(self, wanted: str) -> HclError:
        token = self._peek()
        found = repr(token.text[:40]) if token.text else "the end"
        return HclError(f"line {token.line}: expected {wanted}, found {found}")

    def _body(self, depth: int) -> Body:
        if depth > MAX_DEPTH:
            raise HclError(f"line {self._peek().line}: nested deeper than {MAX_DEPTH} levels")
        body: Body = {}
        while self._peek().kind in {"word", "string"}:
            key, value = self._item(depth)
            body.setdefault(key, []).append(value)
            while self._is(",") or self._is(";"):
                pass
        return body

    def _item(self, depth: int) -> tuple[str, Any]:
        key, labels = self._key(), []
        while self._peek().kind in {"word", "string"}:
            labels.append(self._key())
        value: Any
        if self._is("=") or self._is(":"):
            value = self._value(depth)
        elif self._is("{"):
            value = self._braced(depth)
        else:
            raise self._unexpected("'=' or '{'")
        if depth + len(labels) > MAX_DEPTH:
            raise HclError(f"line {self._peek().line}: nested deeper than {MAX_DEPTH} levels")
        for label in reversed(labels):
            value = {label: [value]}
        return key, value

    def _key(self) -> str:
        token = self._take()
        return token.text if token.kind == "word" else _string(token)

    def _braced(self, depth: int) -> Body:
        body = self._body(depth + 1)
        if not self._is("}"):
            raise self._unexpected("a key or '}'")
        return body

    def _value(self, depth: int) -> Any:
        if self._is("{"):
            return self._braced(depth)
        if self._is("["):
            return self._list(depth)
        token = self._take()
        if token.kind == "string":
            return _string(token)
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.kind == "word" and token.text in {"true", "false"}:
            return token.text == "true"
        self._at -= token.kind != "end"
        raise self._unexpected("a value")

    def _list(self, depth: int) -> list[Any]:
        if depth > MAX_DEPTH:
            raise HclError(f"line {self._peek().line}: nested deeper than {MAX_DEPTH} levels")
        values: list[Any] = []
        while not self._is("]"):
            values.append(self._value(depth + 1))
            if not self._is(",") and not (self._peek().kind == "mark" and self._peek().text == "]"):
                raise self._unexpected("',' or ']'")
        return values


def _string(token: _Token) -> str:
    if "${" in token.text:
        raise HclError(f"line {token.line}: interpolation is not read here")
    try:
        value = json.loads(token.text, strict=False)
    except ValueError as error:
        raise HclError(f"line {token.line}: {token.text[:40]} is no string: {error}") from error
    assert isinstance(value, str)
    return value
