"""The form of a command's declaration, and the questions asked of all of them; the commands are in `declarations`.

From one declaration come the parser's schema, HELP, completion, the command line's usage and the Python client.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

import attrs

from yakt.line.arguments import ArgumentType

Kind: TypeAlias = Literal["write", "read", "node", "connection"]
"""`write`: decided by the leader. `read`: from an image. `node`: asked of one node. `connection`: goes no further."""

WORD_SIZE_MAX = 32
"""Longer than any word of ours: what is longer is not compared, and clipped where it is shown."""


@attrs.frozen(kw_only=True)
class Argument:
    """An argument by position. `repeated`: one or more of it, the last argument then."""

    name: str
    type: ArgumentType
    text: str
    field: str | None = None
    required: bool = True
    repeated: bool = False


@attrs.frozen(kw_only=True)
class Option:
    """An argument by `key=`. `field` is the name of the command's field, if not the key's own.

    `waits`: it is a time in ms that the answer takes by intent, on top of what `timeout=` is if left out.
    `secret`: a line that has it is shown to nobody and kept nowhere.
    """

    key: str
    type: ArgumentType
    text: str
    field: str | None = None
    required: bool = False
    waits: bool = False
    secret: bool = False


@attrs.frozen(kw_only=True)
class FreeOptions:
    """`KEY=VALUE` for any key that starts with `prefix`, collected in `field` as pairs in their order."""

    prefix: str
    field: str
    type: ArgumentType
    text: str
    required: bool = False


@attrs.frozen(kw_only=True)
class Example:
    """A line to type, and what it is for."""

    line: str
    text: str


@attrs.frozen(kw_only=True)
class CommandSpec:
    """One command. `make` is called with the fields given; `reply` and `rows` name keys and data lines of its reply.

    `paged`: it takes `limit=` and `after=`. `refuse` raises ValueError for fields that do not go together.
    """

    name: str
    kind: Kind
    text: str
    make: Callable[..., object]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    free: FreeOptions | None = None
    paged: bool = False
    refuse: Callable[[dict[str, object]], None] | None = None
    reply: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    words: tuple[str, ...] = attrs.field(init=False)

    @words.default
    def _words(self) -> tuple[str, ...]:
        return tuple(self.name.split(" "))

    def option(self, key: str) -> Option | None:
        """The option of its own with that key."""
        return self._by_key.get(key)

    _by_key: dict[str, Option] = attrs.field(init=False, repr=False, eq=False)

    @_by_key.default
    def _index(self) -> dict[str, Option]:
        return {option.key: option for option in self.options}

    @property
    def usage(self) -> str:
        """One line: what to type."""
        parts = [self.name]
        for argument in self.arguments:
            shown = f"{argument.name} …" if argument.repeated else argument.name
            parts.append(shown if argument.required else f"[{shown}]")
        parts += [_shown(option) for option in self.options if option.required]
        if self.free and self.free.required:
            parts.append(f"{self.free.prefix}KEY=VALUE …")
        parts += [f"[{_shown(option)}]" for option in self.options if not option.required]
        if self.free and not self.free.required:
            parts.append(f"[{self.free.prefix}KEY=VALUE …]")
        return " ".join(parts)


def _shown(option: Option) -> str:
    return f"{option.key}={'|'.join(option.type.choices)}" if option.type.choices else f"{option.key}="


def near(word: str, words: Iterable[str]) -> str | None:
    """The first of `words` that differs from `word` by one slip of the finger, or that it begins; cheap on purpose."""
    if not 1 < len(word) <= WORD_SIZE_MAX:
        return None
    asked = _slips(word)
    begun: str | None = None
    for candidate in words:
        if word == candidate or not asked.isdisjoint(_slips_of(candidate)):
            return candidate
        if begun is None and len(word) > 2 and candidate.startswith(word):
            begun = candidate
    return begun


def _slips(word: str) -> frozenset[str]:
    """The word itself, and all that is left of it without one of its characters."""
    return frozenset([word, *(word[:place] + word[place + 1 :] for place in range(len(word)))])


_slips_kept: dict[str, frozenset[str]] = {}


def _slips_of(candidate: str) -> frozenset[str]:
    """`_slips` of a word of ours, kept: there are few of those."""
    kept = _slips_kept.get(candidate)
    if kept is None:
        kept = _slips_kept[candidate] = _slips(candidate)
    return kept


class Registry:
    """All commands of this release, in the order HELP lists them."""

    def __init__(self, specs: Iterable[CommandSpec]) -> None:
        self._by_words = {spec.words: spec for spec in specs}
        self._nouns = {spec.words[0] for spec in self if len(spec.words) > 1}
        self._names = tuple(spec.name for spec in self)
        self._first_words = tuple(dict.fromkeys(spec.words[0] for spec in self))

    def __iter__(self) -> Iterator[CommandSpec]:
        return iter(self._by_words.values())

    def get(self, name: str) -> CommandSpec:
        """The command of that name, `TOPIC CREATE`. Raises KeyError."""
        return self._by_words[tuple(name.split(" "))]

    def find(self, words: tuple[str, ...]) -> CommandSpec | None:
        """The command that these words begin with, upper case."""
        return self._by_words.get(words[:2]) or self._by_words.get(words[:1])

    def starting_with(self, words: tuple[str, ...]) -> list[CommandSpec]:
        """All commands whose first words these are."""
        return [spec for spec in self if spec.words[: len(words)] == words]

    def asked_name(self, words: tuple[str, ...]) -> str:
        """The part of a line that was meant for a command, upper case."""
        count = 2 if words[0] in self._nouns else 1
        return " ".join(word[:WORD_SIZE_MAX] for word in words[:count])

    def near(self, words: tuple[str, ...]) -> str | None:
        """The command that was probably meant by these words, upper case, which are none."""
        if len(words) > 1:
            both = f"{words[0]} {words[1]}"
            if f"{words[1]} {words[0]}" in self._names:
                return f"{words[1]} {words[0]}"
            found = near(both, self._names)
            if found:
                return found
            first = words[0] if words[0] in self._nouns else near(words[0], self._nouns)
            if first:
                seconds = {spec.words[1]: spec.name for spec in self.starting_with((first,)) if len(spec.words) > 1}
                second = near(words[1], seconds)
                return seconds[second] if second else None
            return None
        return near(words[0], self._first_words)
