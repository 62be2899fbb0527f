"""What can come next in a line, from the declarations; for the shell, and for whoever completes words elsewhere."""

from collections.abc import Iterator

import msgspec

from yakt.line.declarations import COMMANDS
from yakt.line.registry import CommandSpec
from yakt.line.shared import keys_of, option_of


class Candidate(msgspec.Struct, frozen=True):
    """A word to put in place of the last `replaces` characters of the text; `hint` says what it is."""

    text: str
    replaces: int
    hint: str = ""


def complete(text: str) -> list[Candidate]:
    """What the last word of `text`, which may be empty, can become; nothing inside quotes or after a comment."""
    stripped = text.lstrip()
    if stripped.startswith("#") or text.count('"') % 2:
        return []
    words = stripped.split()
    last = "" if not words or text[-1].isspace() else words.pop()
    if words and words[0].startswith("@"):
        words.pop(0)
    if last.startswith("@") and not words:
        return []
    return list(_candidates(words, last))


def _candidates(words: list[str], last: str) -> Iterator[Candidate]:
    upper = tuple(word.upper() for word in words[:2])
    if upper[:1] in (("HELP",), ("?",)):
        yield from _command_words(tuple(word.upper() for word in words[1:]), last)
        return
    spec = COMMANDS.find(upper) if upper else None
    if spec is None or len(words) < len(spec.words):
        yield from _command_words(tuple(word.upper() for word in words), last)
        return
    key, equals, value = last.partition("=")
    if equals:
        option = option_of(spec, key)
        if option is not None:
            yield from _choices(option.type.choices, value)
        return
    given = words[len(spec.words) :]
    position = sum("=" not in word for word in given)
    if position < len(spec.arguments):
        yield from _choices(spec.arguments[position].type.choices, last)
    yield from _keys(spec, last, {word.partition("=")[0] for word in given})


def _command_words(words: tuple[str, ...], last: str) -> Iterator[Candidate]:
    """The next words of commands that begin with these."""
    seen = set()
    for spec in COMMANDS.starting_with(words):
        if len(spec.words) <= len(words):
            continue
        word = spec.words[len(words)]
        if word.startswith(last.upper()) and word not in seen:
            seen.add(word)
            is_whole = len(spec.words) == len(words) + 1
            yield Candidate(word.lower() if last and last.islower() else word, len(last), spec.text if is_whole else "")


def _choices(choices: tuple[str, ...], value: str) -> Iterator[Candidate]:
    for choice in choices:
        if choice.startswith(value):
            yield Candidate(choice, len(value))


def _keys(spec: CommandSpec, last: str, given: set[str]) -> Iterator[Candidate]:
    for key in keys_of(spec):
        option = option_of(spec, key)
        if option is not None and key.startswith(last) and key not in given:
            yield Candidate(f"{key}=", len(last), option.text)
    if spec.free is not None and spec.free.prefix and spec.free.prefix.startswith(last):
        yield Candidate(spec.free.prefix, len(last), spec.free.text)
