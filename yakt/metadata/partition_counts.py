"""How many partitions are in which condition, kept as they change: what a page or /metrics asks for each second."""

from collections import Counter

from yakt.ids import Uuid
from yakt.metadata.records import NO_LEADER
from yakt.metadata.rows import PartitionRow


class PartitionCounts:
    """Of one image, of partitions that are shown: those that have replicas. Brokers and topics without any are absent.

    `leaderless` and `under_replicated` hold the numbers of such partitions by their topic's id.
    """

    __slots__ = (
        "leaderless",
        "led",
        "out_of_sync",
        "reassigning",
        "shown",
        "total_leaderless",
        "total_under",
        "under_replicated",
    )

    def __init__(self) -> None:
        self.shown = 0
        self.reassigning = 0
        self.total_leaderless = 0
        self.total_under = 0
        self.leaderless: dict[Uuid, set[int]] = {}
        self.under_replicated: dict[Uuid, set[int]] = {}
        self.led: Counter[int] = Counter()
        """Partitions that a broker leads."""
        self.out_of_sync: Counter[int] = Counter()
        """Partitions of which a broker has a replica that is not in the ISR."""

    def add(self, row: PartitionRow) -> None:
        """Count a row that is there now."""
        replicas = row.replicas
        if not replicas:
            return
        self.shown += 1
        if row.leader == NO_LEADER:
            self.leaderless.setdefault(row.topic_id, set()).add(row.partition)
            self.total_leaderless += 1
        else:
            self.led[row.leader] += 1
        if len(row.isr) < len(replicas):
            self.under_replicated.setdefault(row.topic_id, set()).add(row.partition)
            self.total_under += 1
            for broker_id in replicas:
                if broker_id not in row.isr:
                    self.out_of_sync[broker_id] += 1
        if row.adding or row.removing:
            self.reassigning += 1

    def take_away(self, row: PartitionRow) -> None:
        """Count a row that was added, and is there no more."""
        replicas = row.replicas
        if not replicas:
            return
        self.shown -= 1
        if row.leader == NO_LEADER:
            _discard(self.leaderless, row)
            self.total_leaderless -= 1
        else:
            _count_down(self.led, row.leader)
        if len(row.isr) < len(replicas):
            _discard(self.under_replicated, row)
            self.total_under -= 1
            for broker_id in replicas:
                if broker_id not in row.isr:
                    _count_down(self.out_of_sync, broker_id)
        if row.adding or row.removing:
            self.reassigning -= 1


def _discard(by_topic: dict[Uuid, set[int]], row: PartitionRow) -> None:
    numbers = by_topic[row.topic_id]
    numbers.remove(row.partition)
    if not numbers:
        del by_topic[row.topic_id]


def _count_down(counter: Counter[int], key: int) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
