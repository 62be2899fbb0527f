"""The fields of a body as clients of this API send them: in an envelope or not, numbers as text, "" for nothing."""

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

from yakt.errors import RefusedError
from yakt.http.problems import bad_field

NAMES: dict[str, tuple[str, ...]] = {
    "RegisterBrokerRecord": ("RegisterBrokerRecord",),
    "TopicRecord": ("TopicRecord",),
    "PartitionRecord": ("PartitionRecord",),
    "ProducerIdsRecord": ("ProducerIdsRecord",),
    "RegistrationChangeBrokerRecord": ("RegistrationChangeBrokerRecord", "BrokerRegistrationChangeBrokerRecord"),
}
"""Each record's name, and the names it is taken by."""

_NUMBER = re.compile(r"-?[0-9]{1,19}")


class Fields:
    """What one request says, by the names of the assignment. An empty text is a value left out."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = {key: value for key, value in values.items() if value != ""}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, *keys: str) -> object:
        """The first of these that is there; None if none is, or it is null."""
        for key in keys:
            if self._values.get(key) is not None:
                return self._values[key]
        return None

    def is_null(self, key: str) -> bool:
        """Whether it is there, as null."""
        return key in self._values and self._values[key] is None

    def text(self, *keys: str) -> str | None:
        """A text, and nothing that would have to be made one. Raises RefusedError (BAD_ARGUMENT)."""
        value = self.get(*keys)
        if value is None or isinstance(value, str):
            return value
        raise bad_field(keys[0], "is a text")

    def needed_text(self, *keys: str) -> str:
        """A text that must be there. Raises RefusedError (BAD_ARGUMENT)."""
        value = self.text(*keys)
        if value is None:
            raise bad_field(keys[0], "is needed")
        return value

    def number(self, *keys: str) -> int | None:
        """A whole number, or a text of digits. Raises RefusedError (BAD_ARGUMENT)."""
        return None if (value := self.get(*keys)) is None else read_number(value, keys[0])

    def needed_number(self, *keys: str) -> int:
        """A number that must be there. Raises RefusedError (BAD_ARGUMENT)."""
        value = self.number(*keys)
        if value is None:
            raise bad_field(keys[0], "is needed")
        return value

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse a field that looks like a slip of the pen; other strange ones are let be, for a record may hold more.

        Raises RefusedError (BAD_ARGUMENT).
        """
        names = {name.lower(): name for name in known}
        for key in self._values:
            near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.8)
            if near and key not in names.values():
                raise bad_field(key[:64], f"is no field here; did you mean {names[near[0]]}?")

    def items(self, key: str) -> Sequence[object] | None:
        """A list; an empty one is left out too. Raises RefusedError (BAD_ARGUMENT)."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise bad_field(key, "is a list")
        return value or None


def read_number(value: object, key: str) -> int:
    """A whole number, or a text of digits. Raises RefusedError (BAD_ARGUMENT)."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value)
    raise bad_field(key, "is a whole number")


def parse_body(body: bytes, record: str | None = None) -> Fields:
    """The fields, or those in an envelope around them, which must be `record`'s. Raises RefusedError."""
    if not body.strip():
        return Fields({})
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise RefusedError("BAD_SYNTAX", f"the body is not JSON: {exc}") from None
    if not isinstance(found, dict):
        raise RefusedError("BAD_SYNTAX", "the body is a JSON object: the fields, or an envelope around them")
    inner = found.get("fields")
    if not isinstance(inner, dict):
        return Fields(found)
    name = found.get("name")
    if record is not None and name not in (None, "", *NAMES[record]):
        raise bad_field("name", f"is {record} here")
    return Fields(inner)
