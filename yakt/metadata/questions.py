"""What can be asked without a write: queries, answered from an image, and asks of one node.

Plain values, no behaviour: `queries.answer` reads an image, and the node answers for itself. How they are typed is
`yakt.line.registry`'s business.
"""

from typing import TypeAlias

import msgspec

from yakt.metadata.acls import AclFilter
from yakt.metadata.entities import Entity, TopicPartition

# --- queries: answered from an image ---------------------------------------------------------------------------------


class ShowSummary(msgspec.Struct, frozen=True, gc=False):
    """SUMMARY: the state in a few numbers."""


class ListBrokers(msgspec.Struct, frozen=True, gc=False):
    """BROKER LIST; `after`: the key that ended the last page. `full`, here and below: each row with its `offset=`.

    `match`: a glob held against id, host and rack. `counts`: each row with how many partitions it leads and holds.
    """

    fenced: bool | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False
    match: str | None = None
    counts: bool = False


class ShowBroker(msgspec.Struct, frozen=True, gc=False):
    id: int
    full: bool = False
    counts: bool = False


class ListTopics(msgspec.Struct, frozen=True, gc=False):
    """TOPIC LIST; `match` is a glob (`fnmatch`, case-sensitive). `problems`: only topics with a partition that has no
    leader or replicas out of sync; `counts`: each row with how many of those it has."""

    match: str | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False
    problems: bool = False
    counts: bool = False


class ShowTopic(msgspec.Struct, frozen=True, gc=False):
    """TOPIC SHOW: a topic's partitions, paged by partition number."""

    name: str
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ListPartitions(msgspec.Struct, frozen=True, gc=False):
    """PARTITION LIST; keys of pages are `topic:partition`."""

    topic: str | None = None
    broker: int | None = None
    leaderless: bool = False
    under_replicated: bool = False
    limit: int = 1000
    after: str | None = None
    full: bool = False
    leader: int | None = None


class GetConfigs(msgspec.Struct, frozen=True, gc=False):
    entity: Entity


class ListFeatures(msgspec.Struct, frozen=True, gc=False):
    pass


class ListControllers(msgspec.Struct, frozen=True, gc=False):
    """CONTROLLER LIST: the nodes of the quorum, as each said of itself."""


class ListProducers(msgspec.Struct, frozen=True, gc=False):
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ShowProducer(msgspec.Struct, frozen=True, gc=False):
    id: int
    full: bool = False


class ListQuotas(msgspec.Struct, frozen=True, gc=False):
    """QUOTA LIST: of entities that have each of the parts in `entity`, a name None being the default's."""

    entity: tuple[tuple[str, str | None], ...] = ()
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ListScramCredentials(msgspec.Struct, frozen=True, gc=False):
    """SCRAM LIST: who has a credential, and for which mechanism; never what it is made of."""

    user: str | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ListAcls(msgspec.Struct, frozen=True, gc=False):
    """ACL LIST, by their ids."""

    filter: AclFilter = AclFilter()
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ListTokens(msgspec.Struct, frozen=True, gc=False):
    """TOKEN LIST; `owner` is a principal, `User:alice`."""

    owner: str | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False


class FetchChanges(msgspec.Struct, frozen=True, gc=False):
    """FETCH and VIEW. `since` is an exclusive end, as a read's `offset=`: what changed at or past it; None: everything.

    `view`: brokers, topics and partitions only. `wait_ms` and `broker` are the service's business, not the image's.
    """

    since: int | None
    limit: int = 1000
    wait_ms: int = 0
    broker: int | None = None
    epoch: int | None = None
    view: bool = False


Query: TypeAlias = (
    ShowSummary
    | GetConfigs
    | ShowTopic
    | ListTopics
    | ListPartitions
    | ListBrokers
    | ShowBroker
    | ListFeatures
    | ListControllers
    | ListProducers
    | ShowProducer
    | ListQuotas
    | ListScramCredentials
    | ListAcls
    | ListTokens
    | FetchChanges
)


# --- asks of one node ------------------------------------------------------------------------------------------------


class ShowStatus(msgspec.Struct, frozen=True, gc=False):
    """STATUS: what this node knows of itself, at once."""


class ShowHealth(msgspec.Struct, frozen=True, gc=False):
    """HEALTH: would a write sent here now commit? Confirmed through the leader and a majority, within 1 s."""


class Explain(msgspec.Struct, frozen=True, gc=False):
    """EXPLAIN: why a partition or broker is as it is; of None, whether a write here would commit now."""

    subject: Entity | TopicPartition | None


class ShowQuorum(msgspec.Struct, frozen=True, gc=False):
    """QUORUM SHOW: the leader's view of voters and observers."""


class ShowFigures(msgspec.Struct, frozen=True, gc=False):
    """QUORUM FIGURES: what the leader has counted since its process started."""


class TransferLeadership(msgspec.Struct, frozen=True, gc=False):
    """QUORUM TRANSFER. `to` None: the voter furthest on."""

    to: int | None = None


class ReadLog(msgspec.Struct, frozen=True, gc=False):
    """LOG: committed records from `start` (an offset), at most `limit`."""

    start: int
    limit: int = 1000


class FindTimes(msgspec.Struct, frozen=True, gc=False):
    """When the records at these offsets were appended: `times`, in ms, in their order.

    For what is no longer kept, the time of the first record that is.
    """

    offsets: tuple[int, ...]


class FindOffset(msgspec.Struct, frozen=True, gc=False):
    """The first offset appended at or after `time_ms`; the end where there is none."""

    time_ms: int


class ReadHistory(msgspec.Struct, frozen=True, gc=False):
    """HISTORY: what the kept log says of one thing, oldest first: a row for each record that changed it.

    `after`: the offset that ended the last page. `say`: each row in plain words too.
    """

    subject: Entity | TopicPartition
    say: bool = False
    limit: int = 1000
    after: str | None = None


class Blame(msgspec.Struct, frozen=True, gc=False):
    """BLAME: the last row of its HISTORY."""

    subject: Entity | TopicPartition
    say: bool = False


class Compare(msgspec.Struct, frozen=True, gc=False):
    """DIFF: what differs between the states below two offsets, the earlier first. `after` as of HISTORY."""

    start: int
    end: int
    limit: int = 1000
    after: str | None = None


class CreateSnapshot(msgspec.Struct, frozen=True, gc=False):
    wait: bool = False


class ListSnapshots(msgspec.Struct, frozen=True, gc=False):
    pass


class VerifySnapshot(msgspec.Struct, frozen=True, gc=False):
    """SNAPSHOT VERIFY: read it whole, fold it, compare with the state at its offset where that is known."""

    id: str


NodeAsk: TypeAlias = (
    ShowStatus
    | ShowHealth
    | Explain
    | ShowQuorum
    | ShowFigures
    | TransferLeadership
    | ReadLog
    | FindTimes
    | FindOffset
    | ReadHistory
    | Blame
    | Compare
    | CreateSnapshot
    | ListSnapshots
    | VerifySnapshot
)
