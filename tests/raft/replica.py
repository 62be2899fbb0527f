"""One replica alone, for tests of a single step."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from tests.raft.scripted import CLUSTER_ID, directory, seal_control
from yakt.ids import Instant, NodeId, Offset, ReplicaKey, Uuid
from yakt.raft import invariants
from yakt.raft.core import Election, LogState, RaftConfig, RaftCore
from yakt.raft.effects import Append, Effect, Send
from yakt.raft.events import Event, Flushed, Received, Source, TimerFired
from yakt.raft.messages import FetchRequest, Message, VoteRequest, VoteResponse

M = TypeVar("M")


def key(node: int, life: str = "a") -> ReplicaKey:
    return ReplicaKey(NodeId(node), directory(node, life))


@attrs.define
class Replica:
    """Node 1 of `size` that have met, fed with events by hand."""

    core: RaftCore
    now: Instant = Instant(0.0)
    effects: list[Effect] = attrs.Factory(list)

    @classmethod
    def make(
        cls,
        size: int = 3,
        *,
        election: Election | None = None,
        log: LogState | None = None,
        directories: Mapping[NodeId, Uuid] | None = None,
        random: Callable[[], float] = lambda: 0.0,
        **config: Any,
    ) -> "Replica":
        if directories is None:
            directories = {NodeId(node): directory(node) for node in range(2, size + 1)}
        core = RaftCore(
            me=key(1),
            voters=tuple(NodeId(node) for node in range(1, size + 1)),
            config=RaftConfig(**config),
            election=election or Election(),
            log=log or LogState(),
            directories=directories,
            random=random,
            seal_control=seal_control,
            cluster_id=CLUSTER_ID,
        )
        replica = cls(core)
        replica.effects = core.start(replica.now)
        invariants.check(core.quorum)
        return replica

    def step(self, event: Event) -> list[Effect]:
        self.effects = self.core.step(self.now, event)
        invariants.check(self.core.quorum)
        return self.effects

    def receive(self, source: Source, message: Message, correlation: int = 0) -> list[Effect]:
        return self.step(Received(source, message, correlation))

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes, the timer fires as often as it is due; the effects of all of it."""
        end = self.now + seconds
        effects: list[Effect] = []
        while self.core.deadline <= end:
            self.now = max(self.now, self.core.deadline)
            effects += self.step(TimerFired())
        self.now = Instant(end)
        self.effects = effects
        return effects

    def flush(self) -> list[Effect]:
        return self.step(Flushed(self.core.log_end_offset))

    def sent(self, message_type: type[M], to: int | None = None) -> M:
        """The last message of this type that the last step sent."""
        return next(
            effect.message
            for effect in reversed(self.effects)
            if isinstance(effect, Send) and isinstance(effect.message, message_type) and (to is None or effect.to == to)
        )

    def correlation(self, message_type: type[Message], to: int) -> int:
        return next(
            effect.correlation
            for effect in reversed(self.effects)
            if isinstance(effect, Send) and isinstance(effect.message, message_type) and effect.to == to
        )

    def appended(self) -> list[Append]:
        return [effect for effect in self.effects if isinstance(effect, Append)]

    def lead(self) -> None:
        """Win an election, with all votes that are needed."""
        size = len(self.core.voter_ids)
        self.wait(self.core.deadline - self.now)
        while self.core.role_name != "prospective":
            self.wait(self.core.deadline - self.now)
        for _ in range(2):
            asked = [
                (effect.to, effect.correlation)
                for effect in self.effects
                if isinstance(effect, Send) and isinstance(effect.message, VoteRequest)
            ]
            epoch = self.core.epoch
            for to, correlation in asked[: size // 2]:
                self.receive(to, VoteResponse(leader_id=None, epoch=epoch, granted=True), correlation)
        assert self.core.is_leader

    def fetched_by(self, node: int, offset: int, last_epoch: int | None = None, **fields: Any) -> list[Effect]:
        """Voter `node` fetches from here on."""
        epoch = self.core.epoch
        known = self.core.epoch_at(Offset(offset - 1)) if last_epoch is None else last_epoch
        request = FetchRequest(
            replica=key(node),
            epoch=epoch,
            fetch_offset=Offset(offset),
            last_fetched_epoch=known or 0,
            **{"max_wait_ms": 100, "max_bytes": 0, **fields},
        )
        return self.receive(NodeId(node), request)
