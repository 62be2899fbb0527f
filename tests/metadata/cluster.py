"""A leader's controller, its image and a follower's, without a log: what is decided is sealed, committed, replayed."""

import random
from collections.abc import Sequence
from typing import Any

from yakt.errors import RefusedError
from yakt.ids import Instant, Uuid
from yakt.metadata import commands as c
from yakt.metadata import snapshot
from yakt.metadata.active import ActiveController, Decided
from yakt.metadata.answers import Answer
from yakt.metadata.asked import Asked, Options, Origin
from yakt.metadata.codec import decode, decode_batch
from yakt.metadata.commands import Command
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import Record
from yakt.metadata.state import State
from yakt.metadata.tables import Change
from yakt.wire import batch

START_MS = 1_700_000_000_000
SESSION_S = 9.0
SETTINGS = ControllerSettings(node_id=1, cluster_id="yakt-test", controller_ids=frozenset((1, 2, 3)))


class Cluster:
    """`do` decides and commits at once; `submit` only decides, until `commit`."""

    def __init__(self, settings: ControllerSettings = SETTINGS, seed: int = 0) -> None:
        self.settings = settings
        self.random = random.Random(seed)
        self.image = MetadataImage()
        self.follower = MetadataImage()
        self.now = 100.0
        self.epoch = 0
        self.uncommitted: list[tuple[int, int, bytes]] = []
        """Sealed and not committed: end offset, time, body."""
        self.told: list[Change] = []
        self.lead()

    def lead(self) -> None:
        """A new epoch: its LeaderChange is committed, a new controller begins on the committed image."""
        self.epoch += 1
        self.uncommitted.clear()
        for image in (self.image, self.follower):
            image.skip(image.end_offset + 1, self.epoch)
        self.active = ActiveController(
            self.image,
            self.settings,
            self.epoch,
            self.image.end_offset,
            Instant(self.now),
            self.now_ms,
            self.new_uuid,
            self.random.random,
        )
        self.commit()

    @property
    def now_ms(self) -> int:
        return START_MS + int(self.now * 1000)

    def new_uuid(self) -> Uuid:
        return Uuid(self.random.randbytes(16))

    # --- deciding

    def submit(self, command: Command, *, request: str = "", client: str = "", **options: Any) -> Decided:
        asked = Asked(command, b"", Origin(client=client, request=request, by="test"), Options(**options))
        decided = self.active.submit(asked, Instant(self.now), self.now_ms)
        assert decided.end_offset <= self.active.end_offset
        return decided

    def do(self, command: Command, **options: Any) -> dict[str, Any]:
        """Decide and commit; the answer's pairs. Raises RefusedError."""
        result = self.submit(command, **options).result
        self.commit()
        if isinstance(result, RefusedError):
            raise result
        return dict(result.pairs)

    def records_of(self, command: Command, **options: Any) -> list[Record]:
        """Decide and commit; the records written. Raises RefusedError."""
        assert not self.uncommitted
        start = self.active.end_offset
        self.do(command, **options)
        return [record for offset, record in self.committed if offset >= start]

    def wait(self, seconds: float) -> None:
        """Time passes; what the controller does of itself is committed."""
        end = self.now + seconds
        while self.active.deadline <= end:
            self.now = max(self.now, float(self.active.deadline))
            self.active.on_deadline(Instant(self.now), self.now_ms)
            self.commit()
        self.now = end

    # --- the log

    committed: list[tuple[int, Record]]

    def seal(self) -> None:
        for values in self.active.take_batches():
            start = self.uncommitted[-1][0] if self.uncommitted else self.image.end_offset
            self.uncommitted.append((start + len(values), self.now_ms, batch.seal(values, self.now_ms)[1]))

    def commit(self, count: int | None = None) -> None:
        """Commit what is sealed, or its first batches: the leader from its delta, the follower from the bytes."""
        self.seal()
        if not hasattr(self, "committed"):
            self.committed = []
        for end_offset, time_ms, body in self.uncommitted[:count]:
            records = decode_batch(body)
            base_offset = end_offset - len(records)
            self.committed += enumerate(records, base_offset)
            told = self.active.commit(end_offset, self.epoch, time_ms)
            heard = self.follower.replay(base_offset, self.epoch, time_ms, records)
            assert [shown(change) for change in told] == [shown(change) for change in heard]
            self.told += [change for change in told if not change.quiet]
            assert_equal(self.image, self.follower)
        del self.uncommitted[:count]
        self.active.delta.check()

    def reload(self) -> MetadataImage:
        """The image as a snapshot keeps it."""
        image = self.image
        values = [[decode(value) for value in group] for group in snapshot.values_of(image)]
        return snapshot.load(values, image.end_offset, image.epoch, image.timestamp_ms)

    # --- what tests often need

    def broker(self, broker_id: int, *, alive: bool = True, **fields: Any) -> int:
        """Register a broker, by default with a first heartbeat; its epoch."""
        epoch = self.do(c.RegisterBroker(broker_id, f"b{broker_id}", 9092, **fields))["epoch"]
        if alive:
            self.do(c.HeartbeatBroker(broker_id))
        return int(epoch)

    def write(self, *records: Record) -> None:
        """Records that no command of ours makes, as a log of Kafka's has them."""
        base_offset = self.active.end_offset
        for image in (self.image, self.follower):
            image.replay(base_offset, self.epoch, self.now_ms, records)
        self.committed += enumerate(records, base_offset)
        self.lead()

    def topic(self, name: str, *assignment: Sequence[int]) -> bytes:
        self.do(c.CreateTopic(name, assignment=tuple(map(tuple, assignment))))
        row = self.image.topics.get(name)
        assert row is not None
        return row.id


def shown(change: Change) -> tuple[Any, ...]:
    return change.offset, change.kind, change.key, change.row, change.old, change.part, change.gone


def rows_of(state: State, *, offsets: bool = True) -> dict[str, dict[Any, Any]]:
    """All rows by table and key; `offsets` False: without when each changed, which a snapshot does not keep."""
    found = {}
    for name in TABLES:
        table = getattr(state, name)
        found[name] = {key: table.get(key) if offsets else _without_offset(table.get(key)) for key in table.all_keys()}
    return found


TABLES = (
    "brokers",
    "closed",
    "controllers",
    "topics",
    "topic_names",
    "folded_topics",
    "partitions",
    "directories",
    "configs",
    "features",
    "next_producer_id",
    "producers",
    "quotas",
    "acls",
    "acl_ids",
    "scram",
    "tokens",
    "requests",
)
HAS_OWN_OFFSET = ("ClosedBroker", "RememberedRequest")


def _without_offset(row: Any) -> Any:
    if isinstance(row, tuple):
        return tuple((value.key, value.value) for value in row)
    if not hasattr(row, "__struct_fields__") or type(row).__name__ in HAS_OWN_OFFSET:
        return row
    return {name: getattr(row, name) for name in row.__struct_fields__ if not name.endswith("offset")}


def assert_equal(image: MetadataImage, other: MetadataImage, *, offsets: bool = True) -> None:
    assert rows_of(image, offsets=offsets) == rows_of(other, offsets=offsets)
    assert (image.end_offset, image.epoch, image.timestamp_ms) == (
        other.end_offset,
        other.epoch,
        other.timestamp_ms,
    )
    assert image.hash == other.hash
    assert list(image.requests.all_keys()) == list(other.requests.all_keys())
    assert list(image.closed.all_keys()) == list(other.closed.all_keys())


def code_of(decided: Decided) -> str:
    """OK, or why not."""
    return "OK" if isinstance(decided.result, Answer) else decided.result.code
