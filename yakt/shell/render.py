"""Replies for people: rows as tables, errors with their hints, events as sentences."""

import json
from collections.abc import Sequence

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from yakt.line.replies import ReplyLine, format_value
from yakt.metadata.answers import Value

ROWS_MAX = 200
"""Rows a table waits for before it is drawn; more follow in a further one."""


class Renderer:
    """Takes a reply line by line; draws rows of one kind together once they are all there."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: list[ReplyLine] = []

    def line(self, text: str, said: ReplyLine) -> None:
        """One line of a reply."""
        if said.kind == "data":
            if self._rows and (self._rows[0].name != said.name or len(self._rows) >= ROWS_MAX):
                self._draw()
            self._rows.append(said)
            return
        self._draw()
        match said.kind:
            case "text":
                self._console.print(str(said.pairs["text"]), markup=False, highlight=False, soft_wrap=True)
            case "ok":
                self._console.print(f"[green]OK[/green]{_pairs(said)}", highlight=False, soft_wrap=True)
            case _:
                self._error(said)

    def event(self, text: str, said: ReplyLine) -> None:
        """One event, in words where it brings them."""
        self._draw()
        tag = f"@{said.tag} " if said.tag else ""
        say = said.pairs.get("say")
        words = escape(str(say)) if say is not None else f"{said.name}{_pairs(said)}"
        offset = f"{said.pairs.get('offset', '')}: " if say is not None else ""
        self._console.print(f"[cyan]{tag}* {offset}[/cyan]{words}", highlight=False, soft_wrap=True)

    def _error(self, said: ReplyLine) -> None:
        pairs = dict(said.pairs)
        message = str(pairs.pop("msg", said.name))
        hint = pairs.pop("hint", None)
        near = pairs.pop("near", None) or pairs.get("did-you-mean")
        self._console.print(f"[red]{escape(said.name)}[/red] {escape(message)}", highlight=False, soft_wrap=True)
        if near:
            names = near if isinstance(near, list) else [near]
            self._console.print(f"  did you mean {escape(', '.join(map(str, names)))}?", highlight=False)
        if hint is not None:
            self._console.print(f"  try: {escape(str(hint))}", highlight=False, soft_wrap=True)
        if pairs.get("applied") == "maybe":
            self._console.print("  [yellow]it may have been done all the same[/yellow]", highlight=False)

    def _draw(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        keys = list(dict.fromkeys(key for row in rows for key in row.pairs))
        table = Table(box=None, pad_edge=False, header_style="bold", title=None)
        for key in keys:
            table.add_column(key, overflow="fold", justify=_side(rows, key))
        for row in rows:
            table.add_row(*(escape(_cell(row.pairs[key])) if key in row.pairs else "" for key in keys))
        self._console.print(table, highlight=False)


def _side(rows: Sequence[ReplyLine], key: str) -> JustifyMethod:
    """Numbers to the right."""
    values = [row.pairs.get(key) for row in rows]
    return "right" if all(value is None or type(value) in (int, float) for value in values) else "left"


def _cell(value: Value) -> str:
    match value:
        case str():
            return value
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(_cell(item) if not isinstance(item, list | dict) else json.dumps(item) for item in value)
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _pairs(said: ReplyLine) -> str:
    return escape("".join(f" {key}={format_value(value)}" for key, value in said.pairs.items()))
