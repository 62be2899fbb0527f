"""One request's way to the service: what it wants becomes a line, as every command of a client does.

A line is what another node is sent where this one does not lead, so a command from here is decided as if it had been
typed; and the options of the line protocol are this API's query parameters without further ado.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs
from msgspec.structs import replace

from yakt.errors import RefusedError
from yakt.ids import format_uuid, parse_uuid
from yakt.line.declarations import COMMANDS
from yakt.line.grammar import parse
from yakt.line.shared import SHARED
from yakt.metadata import refusals
from yakt.metadata.answers import Answer, Row
from yakt.metadata.asked import Asked, Options, Origin
from yakt.metadata.image import MetadataImage
from yakt.metadata.questions import FindTimes, NodeAsk
from yakt.node.service import ControllerService

Argument: TypeAlias = "str | int | bool | Sequence[Argument] | None"

_WAITS = ("timeout", "forward")
"""Options that hold for every command a request needs; the others are for the one it is about."""


@attrs.frozen
class CurrentNames:
    """Uuids by what is applied here now. See `yakt.http.records.Names`."""

    image: MetadataImage

    def broker_uuid(self, broker_id: int) -> str | None:
        """See `Names`."""
        row = self.image.brokers.get(broker_id) or self.image.closed.get(broker_id)
        return None if row is None else format_uuid(row.incarnation)

    def topic_uuid(self, name: str) -> str | None:
        """See `Names`."""
        row = self.image.topics.get(name)
        return None if row is None else format_uuid(row.id)


@attrs.define
class Asking:
    """Asks on behalf of one request. `options` are its query parameters that no route took for itself."""

    service: ControllerService
    origin: Origin
    options: dict[str, str]
    taken: dict[str, str] = attrs.Factory(dict)
    """Parameters that a route took for itself."""

    @property
    def forwards(self) -> bool:
        """Whether a node that does not lead may ask the one that does."""
        return self.options.get("forward") != "false"

    def take(self, name: str) -> str | None:
        """A parameter of the route's own; None if it is not there or empty."""
        value = self.options.pop(name, None)
        if value:
            self.taken[name] = value
        return value or None

    async def ask(self, command: str, *words: Argument, **pairs: Argument) -> Answer:
        """What the request is about: all its options hold. Raises RefusedError."""
        return await self._ask(command, words, pairs, self.options)

    async def ask_besides(self, command: str, *words: Argument, **pairs: Argument) -> Answer:
        """What has to be known before or after: only how long to wait holds for it. Raises RefusedError."""
        known = SHARED[COMMANDS.get(command).kind]
        options = {key: value for key, value in self.options.items() if key in _WAITS and key in known}
        return await self._ask(command, words, pairs, options)

    async def _ask(
        self, command: str, words: Sequence[Argument], pairs: Mapping[str, Argument], options: Mapping[str, str]
    ) -> Answer:
        twice = next((key for key in pairs if key in options), None)
        if twice is not None:
            raise RefusedError("BAD_ARGUMENT", f"{twice} is not for this request to say", details={"key": twice})
        parts = [command, *(_quoted(word) for word in words)]
        for key, value in (*pairs.items(), *options.items()):
            if value is not None:
                parts.append(f"{key}={_quoted(value)}")
        request = parse(" ".join(parts).encode("utf-8", "surrogatepass"), self.origin)
        assert request is not None
        if isinstance(request.ask, RefusedError):
            raise _by_field(command, request.ask)
        assert isinstance(request.ask, Asked)
        return await self.submit(request.ask)

    async def submit(self, asked: Asked) -> Answer:
        """Ask the service. Raises RefusedError."""
        result = (await self.service.submit_all((asked,)))[0]
        if isinstance(result, RefusedError):
            raise result
        return result

    async def ask_node(self, command: NodeAsk, options: Options | None = None) -> Answer:
        """Something that only a program asks a node, and that has no line."""
        return await self.submit(Asked(command, b"", self.origin, options or self._waiting()))

    def _waiting(self) -> Options:
        timeout = self.options.get("timeout", "")
        return Options(timeout_ms=int(timeout)) if timeout.isascii() and timeout.isdigit() else Options()

    async def times(self, rows: Sequence[Row]) -> Sequence[int]:
        """When each of these rows changed last, in ms."""
        offsets = tuple(int(row.pairs["offset"]) for row in rows)  # type: ignore[arg-type]
        if not offsets:
            return ()
        found = (await self.ask_node(FindTimes(offsets))).pairs["times"]
        assert isinstance(found, list)
        return found

    @property
    def names(self) -> CurrentNames:
        """As of now; not to be held over an await."""
        return CurrentNames(self.service.image)

    # --- ids and uuids

    async def broker_id(self, given: object, *, field: str = "brokerId", closed: bool = False) -> int:
        """The id of a broker that is registered (`closed`: or was), given by id or uuid. Raises RefusedError."""
        text = "" if given is None else str(given)
        if not text:
            raise RefusedError("BAD_ARGUMENT", f"{field} is needed", details={"key": field})
        await self.settle()
        image = self.service.image
        if text.isascii() and text.isdigit() and len(text) <= 10:
            broker_id = int(text)
            if image.brokers.get(broker_id) is not None or (closed and image.closed.get(broker_id) is not None):
                return broker_id
            raise refusals.unknown_broker(broker_id, image.end_offset, image.broker_ids())
        for row in image.brokers.rows():
            if format_uuid(row.incarnation) == text:
                return row.id
        if closed:
            for gone in image.closed.rows():
                if format_uuid(gone.incarnation) == text:
                    return gone.id
        raise RefusedError(
            "UNKNOWN_BROKER",
            f"no broker {text[:64]} at offset {image.end_offset}",
            kafka=102,
            hint="BROKER LIST",
            details={"broker": text[:64]},
        )

    async def broker_ids(self, given: Sequence[object], field: str) -> list[int]:
        """Several, each by id or uuid. An id goes as it is: the controller says whether it may."""
        found: list[int] = []
        for one in given:
            if isinstance(one, int) and not isinstance(one, bool):
                found.append(one)
            elif isinstance(one, str):
                found.append(
                    int(one) if one.isascii() and one.isdigit() and len(one) <= 10 else await self.broker_id(one)
                )
            else:
                raise RefusedError("BAD_ARGUMENT", f"{field} is a list of brokers", details={"key": field})
        return found

    async def topic_name(self, given: str, *, field: str = "topicUUID") -> str:
        """A topic's name, given by its uuid or by the name itself. Raises RefusedError (UNKNOWN_TOPIC)."""
        await self.settle()
        image = self.service.image
        try:
            row = image.topic_by_id(parse_uuid(given))
        except ValueError:
            row = None
        row = row or image.topics.get(given)
        if row is None:
            raise refusals.unknown_topic(given[:256], image.end_offset, ())
        return row.name

    async def settle(self) -> None:
        """Until what is applied here is no older than this request."""
        await self.ask_besides("FEATURE LIST", **({"read": "local"} if self.options.get("read") == "local" else {}))


def _quoted(value: Argument) -> str:
    """As a line takes it: nothing that could be read as another item, whatever a client sends."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_FIELDS = {
    "BROKER": {
        "id": "brokerId", "host": "brokerHost", "port": "brokerPort", "protocol": "securityProtocol", "rack": "rackId",
        "session": "sessionMs",
    },
    "PARTITION": {"partition": "partitionId", "isr": "ISR"},
    "PRODUCER": {"producer": "producerId", "broker": "brokerId", "epoch": "brokerEpoch", "id": "producerId"},
}  # fmt: skip
"""What this API calls the arguments of the lines it makes, by their noun."""


def _by_field(command: str, refusal: RefusedError) -> RefusedError:
    """About an argument of ours: told by the name that the client knows."""
    key = refusal.details.get("key")
    field = _FIELDS.get(command.partition(" ")[0], {}).get(str(key))
    if field is None:
        return refusal
    message = refusal.message.replace(str(key), field, 1) if refusal.message.startswith(str(key)) else refusal.message
    return RefusedError(refusal.code, message, hint="GET /docs", details={**refusal.details, "key": field})


def with_client(origin: Origin, client: str | None) -> Origin:
    """Named by the `client` parameter, as HELLO does it for lines: request ids are per client. Raises RefusedError."""
    if client is None:
        return origin
    if len(client.encode("utf-8", "surrogatepass")) > 128:
        raise RefusedError("BAD_ARGUMENT", "client has at most 128 bytes", details={"key": "client"})
    return replace(origin, client=client)
