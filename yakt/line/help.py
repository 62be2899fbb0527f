"""HELP in plain lines, made of the declarations."""

from collections.abc import Iterator, Sequence

from yakt.errors import RefusedError
from yakt.line.declarations import COMMANDS
from yakt.line.grammar import unknown_command
from yakt.line.registry import CommandSpec
from yakt.line.shared import PAGING, SHARED
from yakt.metadata.answers import Answer, Row


def answer_help(topic: tuple[str, ...]) -> Answer | RefusedError:
    """The reply to HELP and the words after it, upper case: all commands, those of a noun, or one in full."""
    lines = help_lines(topic)
    if not lines:
        return unknown_command(topic[:2])
    return Answer({}, [Row("text", {"text": line}) for line in lines])


def help_lines(topic: Sequence[str]) -> list[str]:
    """All commands, those that begin with these words, or one in full; nothing if there is none."""
    words = tuple("HELP" if word == "?" else word.upper() for word in topic)
    if not words:
        return list(_all_commands())
    one = COMMANDS.find(words[:2])
    found = [one] if one is not None else COMMANDS.starting_with(words)
    return list(_one_command(found[0])) if len(found) == 1 else list(_some_commands(found))


def _some_commands(specs: list[CommandSpec]) -> Iterator[str]:
    for spec in specs:
        yield spec.usage
        yield f"    {spec.text}"


def _all_commands() -> Iterator[str]:
    width = max(len(spec.name) for spec in COMMANDS)
    group = ""
    for spec in COMMANDS:
        noun = spec.words[0] if len(spec.words) > 1 else ""
        if noun != group:
            yield ""
        group = noun
        yield f"{spec.name:<{width}}  {spec.text}"
    yield ""
    yield "HELP and a command tells all about it, HELP TOPIC CREATE. Names are case-sensitive, commands are not."
    yield 'Values are bare words or JSON: reason="two words". @tag before a command marks its reply. # is a comment.'


def _one_command(spec: CommandSpec) -> Iterator[str]:
    yield spec.usage
    yield f"  {spec.text}"
    yield from (f"  {note}" for note in spec.notes)
    for argument in spec.arguments:
        yield f"    {argument.name + ' (' + argument.type.form + ')':<28} {argument.text}"
    for option in spec.options:
        mark = " (needed)" if option.required else ""
        yield f"    {option.key + '=' + option.type.form:<28} {option.text}{mark}"
    if spec.free:
        yield f"    {spec.free.prefix + 'KEY=VALUE':<28} {spec.free.text}"
    shared = dict(SHARED[spec.kind])
    if spec.paged:
        shared = {**PAGING, **shared}
    for key, option in shared.items():
        if spec.option(key) is None:
            yield f"    {key + '=' + option.type.form:<28} {option.text}"
    for row in spec.rows:
        yield f"  - {row} …"
    yield "  OK" + "".join(f" {key}=" for key in spec.reply)
    for example in spec.examples:
        yield f"  e.g. {example.line}    {example.text}"
