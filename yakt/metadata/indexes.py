"""Tables that keep more than their rows: partitions by broker and condition, remembered requests, closed brokers."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from yakt.metadata.partition_counts import PartitionCounts
from yakt.metadata.rows import BrokerRow, ClosedBroker, PartitionKey, PartitionRow, RememberedRequest
from yakt.metadata.tables import Change, CopiedRows, Overlay, PinnedRows, RowHash, Rows, Table

REQUEST_AGE_MAX_MS = 600_000
REQUESTS_MAX = 200_000
REQUESTS_OF_CLIENT_MAX = 1024
CLOSED_BROKERS_MAX = 1000

RequestKey: TypeAlias = tuple[str, str]
"""Client name and request id."""


class Partitions(Rows[PartitionKey, PartitionRow]):
    """Partitions, and those of one broker in time proportional to their number."""

    __slots__ = ()

    def of_broker(self, broker_id: int) -> Iterable[PartitionRow]:
        """Those with a replica on it, in no order; a list of the moment."""
        raise NotImplementedError


class PartitionTable(Table[PartitionKey, PartitionRow], Partitions):
    __slots__ = ("brokers", "by_broker", "counts")

    def __init__(self, on_change: Callable[[Change], None], hash_of: RowHash, brokers: Table[int, BrokerRow]) -> None:
        super().__init__("partition", on_change, hash_of=hash_of, watched=True)
        self.by_broker: dict[int, set[PartitionKey]] = {}
        self.counts = PartitionCounts()
        self.brokers = brokers
        """Of the same image: why a leader changed is told by what became of the old one."""

    def apply(self, change: Change) -> None:
        super().apply(change)
        key: PartitionKey = change.key
        if change.old is not None:
            self.counts.take_away(change.old)
        if change.row is not None:
            self.counts.add(change.row)
        before: tuple[int, ...] = change.old.replicas if change.old is not None else ()
        after: tuple[int, ...] = change.row.replicas if change.row is not None else ()
        if before == after:
            return
        by_broker = self.by_broker
        for broker_id in before:
            if broker_id not in after:
                keys = by_broker[broker_id]
                keys.discard(key)
                if not keys:
                    del by_broker[broker_id]
        for broker_id in after:
            if broker_id not in before:
                by_broker.setdefault(broker_id, set()).add(key)

    def of_broker(self, broker_id: int) -> Iterable[PartitionRow]:
        return [self.items[key] for key in self.by_broker.get(broker_id, ())]


def _of_broker(
    base: Table[PartitionKey, PartitionRow],
    rows: Rows[PartitionKey, PartitionRow],
    broker_id: int,
    differing: Iterable[PartitionKey],
) -> list[PartitionRow]:
    assert isinstance(base, PartitionTable)
    keys = set(base.by_broker.get(broker_id, ()))
    keys.update(differing)
    found = (rows.get(key) for key in keys)
    return [row for row in found if row is not None and broker_id in row.replicas]


class PartitionOverlay(Overlay[PartitionKey, PartitionRow], Partitions):
    __slots__ = ()

    def of_broker(self, broker_id: int) -> Iterable[PartitionRow]:
        if not self.over:
            assert isinstance(self.base, PartitionTable)
            return self.base.of_broker(broker_id)
        return _of_broker(self.base, self, broker_id, self.over)


class PinnedPartitions(PinnedRows[PartitionKey, PartitionRow], Partitions):
    __slots__ = ()

    def of_broker(self, broker_id: int) -> Iterable[PartitionRow]:
        return _of_broker(self.base, self, broker_id, self.saved)


class RequestTable(Table[RequestKey, RememberedRequest]):
    """What was answered to whom, oldest first.

    Forgets by the times of batches alone, so that all nodes forget alike: 10 minutes, the last 1024 of a client name,
    200,000 in all.
    """

    __slots__ = ("_by_client", "_in_order", "timestamp_ms")

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        super().__init__("request", on_change)
        self._in_order: OrderedDict[RequestKey, int] = OrderedDict()
        self._by_client: dict[str, deque[str]] = {}
        self.timestamp_ms = 0
        """The largest of any batch so far; set by the image before it applies one."""

    def apply(self, change: Change) -> None:
        key: RequestKey = change.key
        row: RememberedRequest = change.row
        if key in self.items:  # a repeat that the leader had already forgotten
            self._forget(key)
        if not row.time_ms:
            row.time_ms = self.timestamp_ms
        self.items[key] = row
        self._in_order[key] = row.time_ms
        of_client = self._by_client.setdefault(row.client, deque())
        of_client.append(row.id)
        if len(of_client) > REQUESTS_OF_CLIENT_MAX:
            self._forget((row.client, of_client[0]))
        if len(self.items) > REQUESTS_MAX:
            self._forget(next(iter(self._in_order)))
        self.expire()

    def expire(self) -> None:
        """Forget what is older than ten minutes by the batch being applied."""
        oldest_ms = self.timestamp_ms - REQUEST_AGE_MAX_MS
        while self._in_order:
            key, time_ms = next(iter(self._in_order.items()))
            if time_ms >= oldest_ms:
                return
            self._forget(key)

    def _forget(self, key: RequestKey) -> None:
        client, request_id = key
        del self.items[key]
        del self._in_order[key]
        of_client = self._by_client[client]
        if of_client[0] == request_id:  # all but a repeat, which is rare, go from the front
            of_client.popleft()
        else:
            of_client.remove(request_id)
        if not of_client:
            del self._by_client[client]


class ClosedTable(Table[int, ClosedBroker]):
    """Unregistered brokers, the newest 1000."""

    __slots__ = ("timestamp_ms",)

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        super().__init__("closed", on_change)
        self.timestamp_ms = 0

    def apply(self, change: Change) -> None:
        row: ClosedBroker | None = change.row
        self.items.pop(change.key, None)  # to the end of the order
        if row is None:
            return
        if not row.time_ms:
            row.time_ms = self.timestamp_ms
        self.items[change.key] = row
        if len(self.items) > CLOSED_BROKERS_MAX:
            del self.items[next(iter(self.items))]


CopiedRequests: TypeAlias = CopiedRows[RequestKey, RememberedRequest]
