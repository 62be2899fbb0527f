"""Tables that forget by themselves: remembered requests, closed brokers."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeAlias

from yakt.metadata.rows import ClosedBroker, RememberedRequest
from yakt.metadata.tables import Change, CopiedRows, Table

REQUEST_AGE_MAX_MS = 600_000
REQUESTS_MAX = 200_000
REQUESTS_OF_CLIENT_MAX = 1024
CLOSED_BROKERS_MAX = 1000

RequestKey: TypeAlias = tuple[str, str]
"""Client name and request id."""


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
