"""Where each key of a TOML text stands, for complaints that name a line; knows nothing of what the keys mean.

Parsers of TOML tell no positions of what they accepted. This walks a text that a parser did accept, so it need not
check anything; on a text that is not TOML the lines it finds mean nothing.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import tomli

TomlPath: TypeAlias = tuple[str | int, ...]
"""From the top: names of tables and keys, and positions in arrays from 0."""

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<text>\"{3}(?:[^\\]|\\.)*?\"{3,5}(?!\") | '{3}.*?'{3,5}(?!') | "(?:[^"\\\n]|\\.)*" | '[^'\n]*')
    | (?P<mark>[\[\]{}=,.])
    | (?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def key_lines(text: str) -> dict[TomlPath, int]:
    """Find the line, from 1, of every table, key and array element of `text`, which is valid TOML."""
    walk = _Walk(text)
    walk.document()
    return walk.lines


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
    yield _Token("newline", "\n", line)
    yield _Token("end", "", line)


class _Walk:
    """Descends through the tokens once; `at` is the next of them."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = next(self.tokens)
        self.lines: dict[TomlPath, int] = {}
        self.array_sizes: dict[TomlPath, int] = {}

    def take(self) -> _Token:
        token = self.at
        self.at = next(self.tokens, token)
        return token

    def document(self) -> None:
        table: TomlPath = ()
        while self.at.kind != "end":
            if self.at.kind == "newline":
                self.take()
            elif self.at.text == "[":
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> TomlPath:
        """`[a.b]` or `[[a.b]]`; what was written as `[[a]]` before is entered at its last element."""
        line = self.take().line
        is_element = self.at.text == "["
        if is_element:
            self.take()
        table: TomlPath = ()
        for name in self.key():
            table = self.last_element((*table, name))
        if is_element:
            table = table[:-1] if isinstance(table[-1], int) else table
            size = self.array_sizes.get(table, 0)
            self.array_sizes[table] = size + 1
            self.mark(table, line)
            table = (*table, size)
            self.take()
        self.take()
        self.mark(table, line)
        return table

    def last_element(self, table: TomlPath) -> TomlPath:
        size = self.array_sizes.get(table, 0)
        return (*table, size - 1) if size else table

    def mark(self, path: TomlPath, line: int) -> None:
        for depth in range(1, len(path) + 1):
            self.lines.setdefault(path[:depth], line)

    def pair(self, table: TomlPath) -> None:
        line = self.at.line
        path = (*table, *self.key())
        self.mark(path, line)
        self.take()  # the equals sign
        self.value(path)

    def key(self) -> list[str]:
        names = []
        while self.at.kind in ("bare", "text"):
            name = self.take()
            names.append(tomli.loads(f"name = {name.text}")["name"] if name.kind == "text" else name.text)
            if self.at.text != ".":
                break
            self.take()
        return names

    def value(self, path: TomlPath) -> None:
        match self.at.text:
            case "[":
                self.array(path)
            case "{":
                self.inline_table(path)
            case _:  # one token or, for 1.5 and dates, several
                while self.at.kind not in ("newline", "end") and self.at.text not in (",", "]", "}"):
                    self.take()

    def array(self, path: TomlPath) -> None:
        self.take()
        index = 0
        while self.at.kind != "end" and self.at.text != "]":
            if self.at.kind == "newline" or self.at.text == ",":
                self.take()
                continue
            self.mark((*path, index), self.at.line)
            self.value((*path, index))
            index += 1
        self.take()

    def inline_table(self, path: TomlPath) -> None:
        self.take()
        while self.at.kind != "end" and self.at.text != "}":
            if self.at.kind == "newline" or self.at.text == ",":
                self.take()
                continue
            self.pair(path)
        self.take()
