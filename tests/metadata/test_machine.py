"""Random commands, commits and failovers: the leader's way and the follower's make the same image, a snapshot too."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.metadata.cluster import Cluster, assert_equal, rows_of
from yakt.metadata import commands as c
from yakt.metadata.answers import Answer
from yakt.metadata.commands import Command
from yakt.metadata.entities import Entity
from yakt.metadata.partition_counts import PartitionCounts
from yakt.metadata.partition_table import MARKS, marks_of
from yakt.metadata.tables import HASH_MASK

BROKERS = st.integers(0, 3)
TOPICS = st.sampled_from(["a", "b", "a.b", "a_b"])
CONFIGS = st.sampled_from([("retention.ms", "1"), ("retention.ms", "2"), ("cleanup.policy", "compact")])
ENTITIES = st.one_of(
    st.builds(Entity, st.just("topic"), TOPICS),
    st.builds(Entity, st.just("broker"), st.sampled_from(["", "1"])),
    st.builds(Entity, st.just("client-metrics"), st.sampled_from(["x", "y"])),
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(c.RegisterBroker, BROKERS, st.just("h"), st.integers(1, 2), rack=st.sampled_from([None, "r"])),
    st.builds(c.HeartbeatBroker, BROKERS, fence=st.booleans(), shutdown=st.booleans()),
    st.builds(c.HeartbeatBroker, BROKERS),
    st.builds(c.ChangeBroker, BROKERS, host=st.sampled_from([None, "h", "g"])),
    st.builds(c.UnregisterBroker, BROKERS),
    st.builds(c.FenceBroker, BROKERS),
    st.builds(
        c.CreateTopic, TOPICS, st.integers(0, 4), st.integers(1, 3), configs=st.lists(CONFIGS, max_size=1).map(tuple)
    ),
    st.builds(c.DeleteTopic, TOPICS),
    st.builds(c.AddPartitions, TOPICS, st.integers(1, 6)),
    st.builds(c.SetConfigs, ENTITIES, st.lists(CONFIGS, min_size=1, max_size=2).map(tuple)),
    st.builds(c.SetConfigs, ENTITIES, st.sampled_from([(("metrics", "m"),), (("interval.ms", "1000"),)])),
    st.builds(c.DeleteConfigs, ENTITIES, st.sampled_from([("retention.ms",), ("metrics",), ("cleanup.policy",)])),
    st.builds(c.AllocateProducerIds, BROKERS, st.integers(0, 9)),
    st.builds(c.RegisterProducer, BROKERS, st.integers(0, 9), st.sampled_from([None, 5, 2000])),
    st.builds(c.DeleteProducer, st.sampled_from([0, 5, 2000])),
)


class Machine(RuleBasedStateMachine):
    """Each commit compares leader and follower; what is checked here is the rest."""

    @initialize()
    def begin(self) -> None:
        self.cluster = Cluster()
        for broker_id in (1, 2, 3):
            self.cluster.broker(broker_id)
        self.answered: dict[str, tuple[Command, dict[str, object]]] = {}
        """What each request id was answered, once that is committed."""
        self.open: dict[str, tuple[Command, dict[str, object]]] = {}

    @rule(
        command=COMMANDS,
        request=st.sampled_from(["", "", "r1", "r2"]),
        check=st.sampled_from([False, False, False, True]),
    )
    def ask(self, command: Command, request: str, check: bool) -> None:
        before = rows_of(self.cluster.active.delta) if check else None
        decided = self.cluster.submit(command, request=request, check=check)
        known = self.open.get(request) or self.answered.get(request)
        if known is not None:
            if known[0] == command:
                assert isinstance(decided.result, Answer)
                assert not decided.wrote
                assert decided.result.pairs == known[1]
            else:
                assert getattr(decided.result, "code", None) == "CONFLICT"
        elif request and decided.wrote:
            assert isinstance(decided.result, Answer)
            self.open[request] = (command, dict(decided.result.pairs))
        if check:
            assert rows_of(self.cluster.active.delta) == before

    @rule()
    def commit(self) -> None:
        self.cluster.commit()
        self.answered.update(self.open)
        self.open.clear()

    @rule()
    def seal(self) -> None:
        self.cluster.seal()

    @precondition(lambda self: self.cluster.uncommitted)
    @rule(count=st.integers(0, 2))
    def commit_some(self, count: int) -> None:
        self.cluster.commit(count)
        end = self.cluster.image.end_offset
        for request, (command, pairs) in list(self.open.items()):
            if int(str(pairs["offset"])) < end:
                self.answered[request] = (command, pairs)
                del self.open[request]

    @rule(seconds=st.sampled_from([0.5, 5.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.commit()
        self.cluster.wait(seconds)

    @rule()
    def lose_leadership(self) -> None:
        self.open.clear()
        self.cluster.lead()

    @invariant()
    def delta_is_whole(self) -> None:
        self.cluster.active.delta.check()

    @invariant()
    def hash_is_of_the_rows(self) -> None:
        image = self.cluster.image
        whole = sum(
            table.hash_of(key, row, "") for table in image.tables if table.hash_of for key, row in table.items.items()
        )
        assert image.hash == whole & HASH_MASK

    @invariant()
    def partitions_are_indexed(self) -> None:
        for state in (self.cluster.image, self.cluster.active.delta):
            every = [state.partitions.get(key) for key in state.partitions.all_keys()]
            for broker_id in range(4):
                found = {row.key for row in state.partitions.of_broker(broker_id)}
                assert found == {row.key for row in every if row is not None and broker_id in row.replicas}
            for mark in MARKS:
                marked = [row.key for row in state.partitions.marked(mark)]
                assert len(marked) == len(set(marked))
                assert set(marked) == {row.key for row in every if row is not None and marks_of(row) & mark}

    @invariant()
    def partitions_are_counted(self) -> None:
        for image in (self.cluster.image, self.cluster.follower):
            anew = PartitionCounts()
            for row in image.partition_table.items.values():
                anew.add(row)
            kept = image.partition_table.counts
            assert [getattr(kept, name) for name in kept.__slots__] == [getattr(anew, name) for name in anew.__slots__]

    @invariant()
    def leaders_are_in_sync_and_active(self) -> None:
        state = self.cluster.active.delta
        for key in state.partitions.all_keys():
            row = state.partitions.get(key)
            assert row is not None
            assert row.isr
            if row.leader != -1:
                assert row.leader in row.isr
                broker = state.brokers.get(row.leader)
                assert broker is not None
                assert broker.active

    @invariant()
    def only_unfenced_brokers_wait_for_the_end_of_a_session(self) -> None:
        for key in self.cluster.active.delta.brokers.all_keys():
            row = self.cluster.active.delta.brokers.get(key)
            assert row is not None
            if not row.fenced:
                assert self.cluster.active.sessions.get(row.id, row.epoch) is not None

    def teardown(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.commit()
            loaded = self.cluster.reload()
            assert_equal(loaded, self.cluster.image, offsets=False)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=30)
