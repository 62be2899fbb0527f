"""EXPLAIN at one node, from what it knows at this moment: it asks nobody, so it needs no leader."""

from collections.abc import Callable, Iterator

import attrs

from yakt.ids import NodeId, Offset
from yakt.metadata import explain
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.entities import Entity, TopicPartition
from yakt.metadata.explain import Known, duration, numbers, type_
from yakt.node.driver import Driver
from yakt.node.log_rows import told_of
from yakt.raft.statistics import ReplicaStatistics, Statistics
from yakt.storage.store import Store


@attrs.frozen(kw_only=True)
class Explainer:
    """`link_trouble`: why there is no connection to another node; None while there is one."""

    driver: Driver
    store: Store
    settings: ControllerSettings
    link_trouble: Callable[[NodeId], str | None] = lambda _node: None

    def explain(self, subject: Entity | TopicPartition | None) -> list[str]:
        """The lines. Raises RefusedError for what is not there."""
        match subject:
            case None:
                return list(self._write())
            case TopicPartition(topic=topic, partition=partition):
                return explain.partition(self.driver.loader.image, self._known(), topic, partition)
            case Entity(name=name):
                return explain.broker(self.driver.loader.image, self._known(), int(name))

    def _known(self) -> Known:
        driver, leader = self.driver, self.driver.leader_id
        active = driver.loader.active
        where = "no leader is known here" if leader is None else f"node {leader}{self._address(leader)}"
        return Known(
            settings=self.settings if leader is None else attrs.evolve(self.settings, node_id=leader),
            sessions=None if active is None else active.sessions,
            now=driver.around.now(),
            where=where,
            told=self._told,
        )

    def _address(self, node: NodeId) -> str:
        address = self.driver.around.line_address(node)
        return f" ({address})" if address is not None else ""

    def _told(self, offset: int) -> str:
        image = self.driver.loader.image
        kept = max(image.exact_from, self.store.start_offset)
        if offset < kept:
            return f"before offset {kept}, which is as far back as this node knows it"
        told = told_of(self.store.read(Offset(offset), Offset(offset + 1), 1)[0], offset)
        ago = duration((self.driver.around.wall_ms() - int(str(told["time"]))) / 1000)
        text = f"at offset {offset}, {ago} ago"
        for key, word in (("by", "by"), ("client", "by client"), ("address", "from")):
            if key in told:
                text += f", {word} {told[key]}"
                break
        return f"{text} ({told['reason']})" if "reason" in told else text

    # --- would a write commit? ---------------------------------------------------------------------------------------

    def _write(self) -> Iterator[str]:
        core = self.driver.core
        statistics = core.statistics(self.driver.around.now())
        count = len(core.voter_ids)
        majority = count // 2 + 1
        if core.is_leader:
            yield from self._write_here(statistics, majority)
        elif (leader := self.driver.leader_id) is not None:
            yield from self._write_there(statistics, leader, majority)
        else:
            yield from self._write_nowhere(statistics, majority)
        if not core.is_voter:
            yield "This node does not vote: its disk is not the one its id was first met with, so it only follows."
        yield "HEALTH makes sure: it asks the leader and a majority, and waits a second for them at most."
        yield type_("HEALTH")

    def _write_here(self, statistics: Statistics, majority: int) -> Iterator[str]:
        driver, count = self.driver, len(statistics.voters)
        within = driver.core.quorum.config.fetch_timeout
        others = [replica for replica in statistics.voters if replica.id != statistics.me.id]
        heard = [one for one in others if one.last_fetch is not None and statistics.now - one.last_fetch <= within]
        is_enough = len(heard) + 1 >= majority
        if not is_enough:
            yield (
                f"A write sent here now would not commit: it needs {majority} of {count} voters to have it on disk, "
                f"and of the others {_some(heard)} within the last {duration(within)}."
            )
        elif driver.loader.active is None or not statistics.is_high_watermark_current:
            yield "A write sent here now would have to wait: this node leads, but has not committed in its epoch yet."
        else:
            yield "A write sent here now would commit."
        yield (
            f"Node {statistics.me.id}, this one, leads epoch {statistics.epoch}. A write commits once {majority} of "
            f"{count} voter{'s'[: count != 1]} {'has' if majority == 1 else 'have'} it on disk."
        )
        for replica in others:
            yield self._follower(statistics, replica)
        unsynced = statistics.log_end_offset - statistics.durable_end_offset
        if unsynced:
            yield f"{unsynced} record{'s'[: unsynced != 1]} wait{'s'[: unsynced == 1]} for this node's own disk."
        open_ = statistics.log_end_offset - statistics.high_watermark
        if open_:
            yield f"{open_} record{'s'[: open_ != 1]} of the log {'is' if open_ == 1 else 'are'} not committed yet."
        queued, most = driver.queues()["commands to decide"]
        if queued:
            yield f"{queued} commands wait to be decided, {most} may."
        if others:
            yield type_("QUORUM SHOW")

    def _follower(self, statistics: Statistics, replica: ReplicaStatistics) -> str:
        trouble = self.link_trouble(replica.id)
        because = f"; no connection to it: {trouble}" if trouble is not None else ""
        if replica.last_fetch is None:
            return f"Node {replica.id} has not fetched in this epoch{because}."
        lag = 0 if replica.end_offset is None else max(0, statistics.log_end_offset - replica.end_offset)
        behind = f"{lag} record{'s'[: lag != 1]} behind" if lag else "has everything"
        fell_back = ", and has lost records that it had confirmed" if replica.fell_back else ""
        ago = duration(statistics.now - replica.last_fetch)
        return f"Node {replica.id} fetched {ago} ago: {behind}{fell_back}{because}."

    def _write_there(self, statistics: Statistics, leader: NodeId, majority: int) -> Iterator[str]:
        applied = self.driver.loader.end_offset
        trouble = self.link_trouble(leader)
        if trouble is not None:
            yield "A write sent here now would have to wait: there is no connection to the leader, which decides it."
        elif not statistics.hears_leader:
            yield "A write sent here now would have to wait: this node has not heard from the leader yet."
        else:
            yield "A write sent here now would go on to the leader, and would commit if a majority is with it."
        yield (
            f"Node {leader}{self._address(leader)} leads epoch {statistics.epoch}; a write commits once {majority} of "
            f"{len(statistics.voters)} voters have it on disk."
        )
        if trouble is not None:
            yield f"Node {leader} cannot be reached from here: {trouble}."
        lag = statistics.high_watermark - applied
        if lag:
            yield (
                f"This node, {statistics.me.id}, has applied all below offset {applied}, and knows that all below "
                f"{statistics.high_watermark} is committed: it answers once it has caught up, {lag} records from here."
            )
        else:
            yield f"This node, {statistics.me.id}, has applied all that it knows to be committed: all below {applied}."
        yield type_("QUORUM SHOW")

    def _write_nowhere(self, statistics: Statistics, majority: int) -> Iterator[str]:
        me = statistics.me.id
        count = len(statistics.voters)
        troubles = {one.id: self.link_trouble(one.id) for one in statistics.voters if one.id != me}
        reached = [node for node, trouble in troubles.items() if trouble is None]
        yield "A write sent here now would not commit: no leader is known to this node."
        if statistics.role == "resigned":
            yield f"This node, {me}, has just handed the leadership of epoch {statistics.epoch} over."
        else:
            role = _ROLES.get(statistics.role, statistics.role)
            yield f"This node, {me}, is {role} in epoch {statistics.epoch}, and looks for a leader."
        mine = 1 if any(one.id == me for one in statistics.voters) else 0
        for node, trouble in troubles.items():
            if trouble is None:
                yield f"Node {node} is connected."
            else:
                address = self.driver.around.peer_address(node)
                yield f"Node {node}{f' ({address})' if address else ''} cannot be reached: {trouble}."
        if len(reached) + mine < majority:
            down = [node for node in troubles if node not in reached]
            yield (
                f"A leader is elected by {majority} of {count} voters, and only {len(reached) + mine} of them "
                f"{'is' if len(reached) + mine == 1 else 'are'} here: start node {' or '.join(map(str, down))}."
            )
        else:
            yield f"A leader is elected by {majority} of {count} voters, and so many are here: that takes a moment."
        yield type_("STATUS")


def _some(heard: list[ReplicaStatistics]) -> str:
    if not heard:
        return "none has fetched"
    ids = [replica.id for replica in heard]
    return f"only node {ids[0]} has fetched" if len(ids) == 1 else f"only nodes {numbers(ids)} have fetched"


_ROLES = {"prospective": "asking whether it could be elected", "candidate": "a candidate"}
