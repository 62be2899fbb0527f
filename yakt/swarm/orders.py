"""What can be ordered of a running swarm: `kill 3 5-9 for=10`, read into what it means. Pure."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import attrs

from yakt.errors import YaktError
from yakt.swarm.settings import Chance, Settings
from yakt.swarm.topics import rack_of

Deed: TypeAlias = Literal["kill", "start", "stop", "lag", "flap"]
Question: TypeAlias = Literal["status", "wait", "help", "quit"]
DEEDS: tuple[str, ...] = get_args(Deed)
QUESTIONS: tuple[str, ...] = get_args(Question)

HELP = """\
kill WHO     as kill -9: no more heartbeats; fenced when the session is over
stop WHO     a controlled shutdown: leaderships move first, then it goes
start WHO    start it again; one that runs goes on as usual, lagging and flapping no more
lag WHO      it heartbeats, but reads no further, and its replicas leave the ISRs
flap WHO     it falls silent until it is fenced, comes back, and again
status       what the brokers do, and what is amiss
wait         answer when the swarm is all set up
help         this
quit         leave the cluster in order (Ctrl-C too)

WHO is broker ids, or places in the swarm from 1: 3, 1003, 5-9, all, rack=r2, any=4 (so many by chance).
for=SECONDS after WHO: for so long, then it is started again."""


class OrderError(YaktError):
    """An order that makes no sense here."""


@attrs.frozen
class Order:
    """Do something to these brokers, if `for_s` is given for so many seconds."""

    deed: Deed
    ids: tuple[int, ...]
    for_s: float | None = None


@attrs.frozen
class Asked:
    """Something that changes no broker."""

    question: Question


_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def read_order(text: str, settings: Settings, chance: Chance) -> Order | Asked | None:
    """One line as it was typed; None if nothing was. Raises OrderError."""
    first, *rest = text.split() or [""]
    verb = {"exit": "quit", "?": "help"}.get(first.lower(), first.lower())
    if not verb:
        return None
    for question in get_args(Question):
        if verb == question:
            return Asked(question)
    for deed in get_args(Deed):
        if verb == deed:
            return _read_deed(deed, rest, settings, chance)
    raise OrderError(f"no order {first}; there are {', '.join((*DEEDS, *QUESTIONS))}")


def _read_deed(deed: Deed, words: Sequence[str], settings: Settings, chance: Chance) -> Order:
    ids: dict[int, None] = {}
    for_s = None
    for word in words:
        key, _, value = word.lower().partition("=")
        match key:
            case "for":
                for_s = _seconds(value)
            case "all":
                ids.update(dict.fromkeys(settings.ids))
            case "any":
                ids.update(dict.fromkeys(_by_chance(_number(word, value), settings, chance)))
            case "rack":
                found = [broker for broker in settings.ids if rack_of(settings, broker) == value]
                if not found:
                    raise OrderError(f"no rack {value}; there are r1 to r{settings.racks}")
                ids.update(dict.fromkeys(found))
            case _:
                ids.update(dict.fromkeys(_numbered(word, settings)))
    if not ids:
        raise OrderError(f"{deed} which brokers? For instance: {deed} 3, {deed} 5-9, {deed} any=2, {deed} rack=r1")
    return Order(deed, tuple(ids), for_s)


def _numbered(word: str, settings: Settings) -> Sequence[int]:
    """`3`, `1003`, `5-9`: a number that is no id of the swarm's is a place in it."""
    found = _RANGE.fullmatch(word)
    if found is None:
        raise OrderError(f"{word} names no broker: it takes ids, places, 5-9, all, rack=r2, any=4")
    first, last = (_broker(int(text), settings) for text in (found[1], found[2] or found[1]))
    if last < first:
        raise OrderError(f"{word} ends before it begins")
    return range(first, last + 1)


def _broker(number: int, settings: Settings) -> int:
    if number in settings.ids:
        return number
    if 1 <= number <= settings.brokers:
        return settings.ids[number - 1]
    raise OrderError(
        f"there is no broker {number}: the ids are {settings.ids[0]} to {settings.ids[-1]}, "
        f"the places 1 to {settings.brokers}"
    )


def _by_chance(count: int, settings: Settings, chance: Chance) -> list[int]:
    left = list(settings.ids)
    if not 1 <= count <= len(left):
        raise OrderError(f"any={count}: the swarm has {len(left)} brokers")
    return [left.pop(int(chance() * len(left))) for _ in range(count)]


def _number(word: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise OrderError(f"{word}: how many? For instance any=2")
    return int(value)


def _seconds(value: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?s?", value) or not float(value.rstrip("s")) > 0:
        raise OrderError(f"for={value}: how many seconds? For instance for=10")
    return float(value.rstrip("s"))
