"""The types of arguments: how a value of a request becomes what a command holds; no type knows a command."""

import re
from typing import Protocol

import attrs

from yakt.ids import parse_uuid
from yakt.metadata import acls
from yakt.metadata.about import CLIENT_KINDS
from yakt.metadata.answers import Value
from yakt.metadata.entities import Entity, TopicPartition

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
ENTITY_KINDS = ("topic", "broker", "group", "client-metrics")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19})?")
_BROKER_ID = re.compile(r"[0-9]{1,10}")


class ArgumentType(Protocol):
    """How one argument is read."""

    @property
    def form(self) -> str:
        """What to write, in a word or two, as HELP shows it."""
        ...

    @property
    def choices(self) -> tuple[str, ...]:
        """What it can be, for completion; empty where that is too much to list."""
        ...

    def read(self, value: Value) -> object:
        """The argument itself. Raises ValueError, worded to follow the argument's name."""
        ...


@attrs.frozen
class Integer:
    """A whole number, `low` to `high`, both inclusive."""

    low: int = 0
    high: int = INT64_MAX
    form: str = "number"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> int:
        """Raises ValueError."""
        if not isinstance(value, str) or not _INTEGER.fullmatch(value):
            raise ValueError("is a whole number of at most 19 digits")
        number = int(value)
        if not self.low <= number <= self.high:
            raise ValueError(f"is at least {self.low}" if number < self.low else f"is at most {self.high}")
        return number


@attrs.frozen
class Number:
    """A number without a sign, with a fraction or without."""

    form: str = "number"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> float:
        """Raises ValueError."""
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            raise ValueError("is a number, such as 1048576 or 12.5")
        return float(value)


@attrs.frozen
class Boolean:
    """`true` or `false`."""

    form: str = "true|false"
    choices: tuple[str, ...] = ("true", "false")

    def read(self, value: Value) -> bool:
        """Raises ValueError."""
        if value == "true":
            return True
        if value == "false":
            return False
        raise ValueError("is true or false")


@attrs.frozen
class Text:
    """A text of `low` to `high` bytes of UTF-8. What it may hold is for the command to say."""

    high: int = 32767
    low: int = 0
    form: str = "text"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> str:
        """Raises ValueError."""
        if not isinstance(value, str):
            raise ValueError("is a text: put it in quotes")
        size = len(value) if value.isascii() else len(value.encode())
        if size > self.high:
            raise ValueError(f"has at most {self.high} bytes, this has {size}")
        if size < self.low:
            raise ValueError("is empty")
        return value


@attrs.frozen
class Choice:
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def form(self) -> str:
        """The choices themselves."""
        return "|".join(self.choices)

    def read(self, value: Value) -> str:
        """Raises ValueError."""
        if value not in self.choices:
            raise ValueError(f"is one of {', '.join(self.choices)}")
        assert isinstance(value, str)
        return value


@attrs.frozen
class Choices:
    """Some of a few words, in any case: with commas between them, or as a list."""

    choices: tuple[str, ...]

    @property
    def form(self) -> str:
        """One of the choices, and that there may be more."""
        return "WORD,…"

    def read(self, value: Value) -> tuple[str, ...]:
        """Each once, in their order. Raises ValueError."""
        given = value.split(",") if isinstance(value, str) else value
        if not isinstance(given, list) or not given or not all(isinstance(word, str) for word in given):
            raise ValueError(f"is some of {', '.join(self.choices)}, with commas between them")
        words = [str(word).upper() for word in given]
        for word in words:
            if word not in self.choices:
                raise ValueError(f"is some of {', '.join(self.choices)}, not {word[:32]}")
        return tuple(dict.fromkeys(words))


@attrs.frozen
class UuidText:
    """Kafka's form of a uuid."""

    form: str = "uuid"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> bytes:
        """Raises ValueError."""
        if not isinstance(value, str):
            raise ValueError("is a uuid: 22 characters of base64url")
        try:
            return parse_uuid(value)
        except ValueError:
            raise ValueError("is a uuid: 22 characters of base64url") from None


@attrs.frozen
class EntityName:
    """What a config belongs to, `kind/name`; `broker/` is the cluster's default."""

    form: str = "kind/name"
    choices: tuple[str, ...] = tuple(f"{kind}/" for kind in ENTITY_KINDS)

    def read(self, value: Value) -> Entity:
        """Raises ValueError."""
        kind, slash, name = value.partition("/") if isinstance(value, str) else ("", "", "")
        if not slash or kind not in ENTITY_KINDS:
            raise ValueError(
                "is topic/NAME, broker/ID, broker/ (the cluster's default), group/NAME or client-metrics/NAME"
            )
        if kind == "broker":
            if name and (not _BROKER_ID.fullmatch(name) or int(name) > INT32_MAX):
                raise ValueError("names a broker by its id, broker/1, or the cluster's default, broker/")
            return Entity(kind, str(int(name)) if name else "")
        if not name:
            raise ValueError(f"lacks a name after {kind}/")
        return Entity(kind, name)


@attrs.frozen
class Subject:
    """What EXPLAIN is asked of: a partition, a broker, or writes."""

    form: str = "topic:partition|broker/id|write"
    choices: tuple[str, ...] = ("write", "broker/")

    def read(self, value: Value) -> Entity | TopicPartition | None:
        """None: writes. Raises ValueError."""
        if isinstance(value, str):
            if value.lower() == "write":
                return None
            if value.startswith("broker/") and _BROKER_ID.fullmatch(value[7:]) and int(value[7:]) <= INT32_MAX:
                return Entity("broker", str(int(value[7:])))
            if ":" in value:
                return PartitionName().read(value)
        raise ValueError("is a partition, orders:0, a broker, broker/1, or the word write")


@attrs.frozen
class AclResource:
    """What an ACL is about, `kind/name`. `is_open`: a filter's, which may leave the name out."""

    is_open: bool = False
    form: str = "kind/name"
    choices: tuple[str, ...] = tuple(f"{kind}/" for kind in acls.RESOURCE_TYPES)

    def read(self, value: Value) -> tuple[int, str | None]:
        """Kafka's type, and the name. Raises ValueError."""
        kind, slash, name = value.partition("/") if isinstance(value, str) else ("", "", "")
        number = acls.RESOURCE_TYPES.get(kind)
        if not slash or number is None:
            raise ValueError(f"is one of {', '.join(f'{known}/NAME' for known in acls.RESOURCE_TYPES)}")
        if number == acls.CLUSTER_TYPE:
            if name not in ("", acls.CLUSTER_NAME):
                raise ValueError("is cluster/ alone: there is one")
            return number, acls.CLUSTER_NAME
        if not name and not self.is_open:
            raise ValueError(f"lacks a name after {kind}/")
        return number, name or None


@attrs.frozen
class Thing:
    """What has a history: an entity as configs name it, or a partition."""

    form: str = "kind/name|topic:partition"
    choices: tuple[str, ...] = tuple(f"{kind}/" for kind in (*ENTITY_KINDS, *CLIENT_KINDS))

    def read(self, value: Value) -> Entity | TopicPartition:
        """Raises ValueError."""
        if isinstance(value, str) and value.startswith(tuple(f"{kind}/" for kind in CLIENT_KINDS)):
            kind, _, name = value.partition("/")
            return Entity(kind, name)
        if isinstance(value, str) and "/" in value:
            return EntityName().read(value)
        if isinstance(value, str) and ":" in value:
            return PartitionName().read(value)
        raise ValueError(
            "is topic/NAME, broker/ID, a partition (orders:0), broker/ (the cluster's default), group/NAME, "
            "client-metrics/NAME, user/NAME, client-id/NAME or ip/ADDRESS"
        )


@attrs.frozen
class Assignment:
    """Replicas by partition, `[[1,2],[2,1]]`."""

    form: str = "[[broker,…],…]"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> tuple[tuple[int, ...], ...]:
        """Raises ValueError."""
        if not isinstance(value, list):
            raise ValueError("is a list of broker ids for each partition, [[1,2],[2,1]]")
        return tuple(self._replicas(replicas) for replicas in value)

    @staticmethod
    def _replicas(value: Value) -> tuple[int, ...]:
        if not isinstance(value, list) or not all(type(item) is int and 0 <= item <= INT32_MAX for item in value):
            raise ValueError("is a list of broker ids for each partition, [[1,2],[2,1]]")
        return tuple(value)


@attrs.frozen
class BrokerIds:
    """A list of broker ids, `[1,2,3]`."""

    form: str = "[broker,…]"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> tuple[int, ...]:
        """Raises ValueError."""
        if not isinstance(value, list) or not all(type(item) is int and 0 <= item <= INT32_MAX for item in value):
            raise ValueError("is a list of broker ids, [1,2,3]")
        return tuple(value)


@attrs.frozen
class PartitionName:
    """One partition, `topic:number`."""

    form: str = "topic:partition"
    choices: tuple[str, ...] = ()

    def read(self, value: Value) -> TopicPartition:
        """Raises ValueError."""
        topic, colon, number = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        if not colon or not topic or not _BROKER_ID.fullmatch(number) or int(number) > INT32_MAX:
            raise ValueError("is a topic and a partition's number, orders:0")
        return TopicPartition(topic, int(number))
