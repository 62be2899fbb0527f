"""What comes back from whatever is asked: an answer with its rows, or a refusal.

An adapter words an `Answer` or a `RefusedError` its own way.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from yakt.errors import RefusedError

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
Pairs: TypeAlias = dict[str, Value]
"""Keys and values of one reply line, in the order they are shown."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One data line: `- kind key=value …`. Kind "text" is a line for people, its words in `pairs["text"]`."""

    kind: str
    pairs: Pairs


class Answer(msgspec.Struct, gc=False):
    """An `OK`. `pairs` are those of its line in order, `offset=` included where there is one; `rows` come before it.

    `items`: the results of a Batch's commands, in their order.
    """

    pairs: Pairs
    rows: Sequence[Row] = ()
    items: "Sequence[Result]" = ()


Result: TypeAlias = Answer | RefusedError
