"""What a decision is made of: the stamp (ids, times and settings, made once, by the leader) and what came of it."""

import math
from collections.abc import Callable, Sequence

import attrs
import msgspec

from yakt.ids import ZERO_UUID, Instant, Uuid
from yakt.metadata.answers import Pairs, Row
from yakt.metadata.backlog import Backlog
from yakt.metadata.records import Record
from yakt.metadata.sessions import Sessions


@attrs.frozen(kw_only=True)
class ControllerSettings:
    """What of the configuration decides something. `controller_ids`: the voters', which may have configs as brokers do.

    `unclean_leader_election` is the controller's static config of that name.
    """

    node_id: int
    cluster_id: str
    controller_ids: frozenset[int] = frozenset()
    default_partitions: int = 1
    default_replication: int = 1
    broker_session_timeout_ms: int = 9000
    unclean_leader_election: bool = False
    unclean_election_interval_s: float = 300.0
    """Kafka's unclean.leader.election.interval.ms."""
    preferred_election_interval_s: float = 300.0
    """Kafka's leader.imbalance.check.interval.seconds; infinite: leaders stay (auto.leader.rebalance.enable=false)."""


NO_OPERATION = 2**63 - 1
"""No record has this offset."""


class Stamp(msgspec.Struct, gc=False):
    """Handed to `decide`. `next_offset` is that of the first record it decides; `now_ms` is wall time.

    `operation_offset` is that of the first record of the whole operation, while its commands are several.
    `derived`: iterations spent on passwords in the turn at `derived_at`.
    What is soft is touched only in a decision's `then`: `sessions`, and `backlog`, what is left for later.
    """

    settings: ControllerSettings
    sessions: Sessions
    new_uuid: Callable[[], Uuid]
    random: Callable[[], float]
    next_offset: int
    now: Instant
    now_ms: int
    backlog: Backlog
    operation_offset: int = NO_OPERATION
    derived_at: Instant = Instant(-math.inf)
    derived: int = 0
    missing_voters: Callable[[int], Sequence[int]] = lambda _level: ()
    """The voters that keep kraft.version from a level."""


class Decision(msgspec.Struct, gc=False):
    """Records to append as one operation, perhaps none, and the answer: its pairs without `offset=`, and its rows.

    `then` is done once they are in the leader's state, with the offset of the last one: what is soft (sessions).
    `may_split`: more than one operation may have can go as several (controller.md §1): each leaves a sound state.
    `kraft_version`: the quorum is to be brought to this level right after the records; 0: it stays.
    """

    records: list[Record]
    pairs: Pairs
    then: Callable[[int], None] | None = None
    may_split: bool = False
    rows: Sequence[Row] = ()
    kraft_version: int = 0


def fresh_uuid(new_uuid: Callable[[], Uuid]) -> Uuid:
    """A random id that is not reserved, and whose text does not begin with `-` (records.md §4)."""
    while True:
        made = new_uuid()
        # 0b111110 as the first six bits is `-`; reserved: a zero upper half and a lower one under 100.
        if made[0] >> 2 != 0b111110 and made[:8] != ZERO_UUID[:8]:
            return made
