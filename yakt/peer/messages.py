"""What peers say to one another besides the quorum's RPCs, as plain values: hellos, pings and forwarded commands.

No bytes here: `yakt.peer.codec` gives them some.
"""

from enum import IntEnum
from typing import TypeAlias

import attrs

from yakt.ids import ZERO_UUID, Epoch, NodeId, Offset, ReplicaKey, Uuid
from yakt.raft import messages as raft


@attrs.frozen(kw_only=True)
class Addresses:
    """Where a node can be reached otherwise, each `host:port` as advertised; None: it has no such listener."""

    line: str | None = None
    http: str | None = None
    kafka: str | None = None


@attrs.frozen
class Feature:
    """Levels of a feature that a node can read, both ends included."""

    name: str
    min_level: int
    max_level: int


@attrs.frozen(kw_only=True)
class Identity:
    """Who a node is and what it speaks; each side of a connection gives it once, in its hello.

    Protocol versions `[protocol_min, protocol_max]`, both ends included; addresses as in `Addresses`.
    """

    protocol_min: int
    protocol_max: int
    cluster_id: str
    node_id: NodeId
    directory_id: Uuid
    line: str | None = None
    http: str | None = None
    kafka: str | None = None
    features: tuple[Feature, ...] = ()
    incarnation: Uuid = ZERO_UUID
    """Of this start of its process; zero from a node that does not say."""

    @property
    def key(self) -> ReplicaKey:
        """The replica this identity speaks for."""
        return ReplicaKey(self.node_id, self.directory_id)

    @property
    def addresses(self) -> Addresses:
        """Its other addresses."""
        return Addresses(line=self.line, http=self.http, kafka=self.kafka)


class Refusal(IntEnum):
    """Why an acceptor will not speak with a dialler."""

    NONE = 0
    PROTOCOL = 1
    """No protocol version that both speak."""
    CLUSTER = 2
    """It is of another cluster."""
    NOT_A_MEMBER = 3
    """Its id is none of the members'."""
    OWN_ID = 4
    """It says that it is the acceptor."""
    IMPOSTOR = 5
    """The replica that this id is known for is connected now, from another directory."""


@attrs.frozen(kw_only=True)
class Welcome:
    """The acceptor's answer to a hello: who it is too, and whether it will speak.

    With `refusal` NONE, `protocol` is the version both speak from here on and `counts_you` says whether the acceptor
    takes the dialler for a voter (false: it remembers another directory of that id). Otherwise `message` says why not.
    """

    refusal: Refusal = Refusal.NONE
    message: str = ""
    protocol: int = 0
    counts_you: bool = False
    identity: Identity


@attrs.frozen
class Ping:
    """Is anybody there? Sent on a connection that has been silent for some time, by either side."""


@attrs.frozen
class Pong:
    """Answers a Ping."""


@attrs.frozen(kw_only=True)
class ForwardRequest:
    """Commands of one client, sent to the leader for it: whole lines without their line ends, opaque here.

    `client` is what the client calls itself, `address` where it came from; the leader puts both beside what it
    decides. `timeout_ms` is what is left of the client's patience.
    """

    client: str
    address: str
    timeout_ms: int
    lines: tuple[bytes, ...]


@attrs.frozen
class ForwardResult:
    """What the leader decided about one line, before it is committed.

    The forwarding node answers its client with `text` once its own committed log has passed `offset`, if the record
    there is of `epoch`; both None: at once (a refusal, or nothing was written).
    """

    text: bytes
    offset: Offset | None = None
    epoch: Epoch | None = None


@attrs.frozen
class ForwardResponse:
    """One result for each line of the request, in order."""

    results: tuple[ForwardResult, ...]


PeerRequest: TypeAlias = raft.Request | ForwardRequest | Ping
PeerResponse: TypeAlias = raft.Response | ForwardResponse | Pong
PeerMessage: TypeAlias = PeerRequest | PeerResponse
