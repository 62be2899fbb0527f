"""Asks of one node: its status, health, quorum, log and snapshots. Answers are rows and pairs, as for queries."""

import attrs
import trio

from yakt.errors import RefusedError
from yakt.ids import NodeId, Offset
from yakt.metadata import questions
from yakt.metadata.answers import Answer, Pairs, Result, Row
from yakt.metadata.asked import Asked, Options
from yakt.metadata.entities import Entity, TopicPartition
from yakt.node import past
from yakt.node.driver import Driver
from yakt.node.explain import Explainer
from yakt.node.history import History
from yakt.node.leadership import Leadership
from yakt.node.log_rows import rows_of
from yakt.node.record_times import RecordTimes
from yakt.node.snapshots import Snapshots, find_snapshot, snapshot_row, verify_snapshot
from yakt.raft import events
from yakt.raft.statistics import ReplicaStatistics, Statistics
from yakt.storage.store import Store

HEALTH_S = 1.0
LOG_READ_BYTES = 64 * 1024
LOG_SLICE_ROWS = 100
"""Described before others get their turn: a few milliseconds."""


@attrs.frozen
class NodeInfo:
    """What a node can say of itself without looking."""

    node_id: NodeId
    cluster_id: str
    version: str


@attrs.frozen(kw_only=True)
class Here:
    """The parts of one node that its answers come from."""

    info: NodeInfo
    driver: Driver
    store: Store
    history: History
    snapshots: Snapshots
    leadership: Leadership
    explainer: Explainer
    started_at: float = attrs.field(factory=trio.current_time)
    times: RecordTimes = attrs.field(init=False)

    @times.default
    def _times(self) -> RecordTimes:
        return RecordTimes(self.store)


def is_ask(command: object) -> bool:
    """Whether `answer` takes it."""
    return isinstance(command, questions.NodeAsk.__args__)


def answer_at_once(here: Here, asked: Asked) -> Result | None:
    """The answer, where nothing has to be waited for; else None."""
    match asked.command:
        case questions.ShowStatus():
            return show_status(here)
        case questions.Explain(subject=subject):
            return explain(here, subject)
    return None


async def answer(here: Here, asked: Asked) -> Result:
    """The answer to an ask that may take a while; whoever calls bounds it. Raises RefusedError."""
    match asked.command:
        case questions.ListSnapshots():
            return await list_snapshots(here)
        case questions.ShowHealth():
            return await show_health(here)
        case questions.ShowQuorum():
            return await show_quorum(here, asked)
        case questions.ShowFigures():
            result = await here.leadership.ask(asked)
            return show_figures(here) if result is None else result
        case questions.TransferLeadership(to=to):
            result = await here.leadership.ask(asked)
            return await transfer(here, to) if result is None else result
        case questions.ReadLog(start=start, limit=limit):
            await here.leadership.confirm(asked.options)
            return await read_log(here, start, limit)
        case questions.FindTimes(offsets=offsets):
            return Answer({"times": await here.times.of(offsets, here.driver.loader.image)})
        case questions.FindOffset(time_ms=time_ms):
            await here.leadership.confirm(asked.options)
            return Answer({"offset": await here.times.first_at(time_ms, here.driver.loader.end_offset)})
        case questions.ReadHistory() | questions.Blame() | questions.Compare():
            await here.leadership.confirm(asked.options)
            return await past.answer(here.history, asked.command, asked.options)
        case questions.CreateSnapshot(wait=wait):
            return await create_snapshot(here, wait)
        case questions.VerifySnapshot(id=name):
            snapshot_id, size = find_snapshot(here.store.snapshots, name)
            records, _ = await verify_snapshot(here.store, snapshot_id)
            return Answer(pairs=snapshot_row(snapshot_id, size, records).pairs)
    raise AssertionError(asked.command)


def show_status(here: Here) -> Answer:
    """STATUS."""
    driver = here.driver
    core = driver.core
    return Answer(
        pairs={
            "node": here.info.node_id,
            "role": core.role_name,
            "leader": driver.leader_id,
            "epoch": core.epoch,
            "log_end": core.log_end_offset,
            "high_watermark": driver.high_watermark,
            "applied": driver.loader.end_offset,
            "cluster": here.info.cluster_id,
            "uptime_ms": int((trio.current_time() - here.started_at) * 1000),
            "voter": core.is_voter,
            "log_start": here.store.start_offset,
            "version": here.info.version,
        }
    )


def explain(here: Here, subject: Entity | TopicPartition | None) -> Result:
    """EXPLAIN."""
    try:
        lines = here.explainer.explain(subject)
    except RefusedError as refusal:
        return refusal
    return Answer({"offset": here.driver.loader.end_offset}, [Row("text", {"text": line}) for line in lines])


async def show_health(here: Here) -> Answer:
    """HEALTH: asks the leader and a majority, as a write would; never guesses from timers."""
    reasons: list[str] = []
    options = Options(timeout_ms=int(HEALTH_S * 1000))
    try:
        await here.leadership.confirm(options)
    except RefusedError as refusal:
        if here.driver.leader_id is None:
            reasons.append("no leader is known")
        else:
            reasons.append(f"node {here.driver.leader_id} leads, but did not confirm it: {refusal.message}")
    if not here.driver.core.is_voter:
        reasons.append(
            "this node's disk is not the one its id was first met with: it follows as an observer and does not vote"
        )
    ready = not reasons or (len(reasons) == 1 and not here.driver.core.is_voter)
    return Answer(pairs={"ready": ready, "reasons": reasons})


async def show_quorum(here: Here, asked: Asked) -> Result:
    """QUORUM SHOW: the leader's view, or what this node knows where there is none to be asked."""
    if here.leadership.leader_id is not None:
        with trio.move_on_after(min(HEALTH_S, asked.options.timeout_ms / 1000)):
            result = await here.leadership.ask(asked)
            if result is not None:
                return result
    driver = here.driver
    statistics = driver.core.statistics(driver.around.now())
    rows = [_replica_row(here, statistics, replica, "voter") for replica in statistics.voters]
    rows += [_replica_row(here, statistics, replica, "observer") for replica in statistics.observers]
    return Answer(
        pairs={
            "leader": driver.leader_id,
            "epoch": driver.core.epoch,
            "high_watermark": driver.high_watermark,
            "time": driver.around.wall_ms(),
            "kraft_version": statistics.kraft_version,
            **({"kraft_version_waits_for": list(statistics.waits_for)} if statistics.waits_for else {}),
        },
        rows=rows,
    )


def show_figures(here: Here) -> Answer:
    """QUORUM FIGURES, at the leader."""
    driver = here.driver
    seconds = driver.proposals.commit_seconds
    return Answer(
        pairs={
            "node": here.info.node_id,
            "leader": driver.leader_id,
            "epoch": driver.core.epoch,
            "elections": driver.elections,
            "commits": sum(seconds.counts),
            "commit_ms": round(seconds.total * 1000, 3),
            "bounds_ms": [bound * 1000 for bound in seconds.bounds],
            "counts": list(seconds.counts),
        }
    )


def _replica_row(here: Here, statistics: Statistics, replica: ReplicaStatistics, kind: str) -> Row:
    """What the leader knows of a replica; another node, of itself alone."""
    role: str | None = None
    if replica.id == here.info.node_id and kind == "voter":
        role = statistics.role
    elif replica.id == statistics.leader_id:
        role = "leader"
    elif replica.last_fetch is not None:
        role = "follower" if kind == "voter" else "observer"
    lag = fetched_ms = None
    if replica.end_offset is not None:
        lag = max(0, statistics.log_end_offset - replica.end_offset)
    if replica.last_fetch is not None:
        fetched_ms = int((statistics.now - replica.last_fetch) * 1000)
    pairs: Pairs = {
        "id": replica.id,
        "role": role,
        "end": replica.end_offset,
        "lag": lag,
        "last_fetch_ms": fetched_ms,
        "address": here.driver.around.peer_address(replica.id),
    }
    if replica.fell_back:
        pairs["fell_back"] = True
    return Row(kind=kind, pairs=pairs)


async def transfer(here: Here, to: int | None) -> Answer:
    """QUORUM TRANSFER at the leader: done when another node leads."""
    driver = here.driver
    if to is not None and to not in driver.core.voter_ids:
        raise RefusedError("BAD_ARGUMENT", f"node {to} is no voter", details={"key": "to"}, hint="QUORUM SHOW")
    if to is None and driver.core.voter_ids == (here.info.node_id,):
        raise RefusedError("CONFLICT", "this node is the only voter: nobody can take over", hint="QUORUM SHOW")
    if to == here.info.node_id:
        return Answer(pairs={"leader": to, "epoch": driver.core.epoch})
    driver.take(events.TransferAsked(None if to is None else NodeId(to)))
    here.driver.end_turn()
    leader = await here.leadership.wait_for_another()
    return Answer(pairs={"leader": leader, "epoch": driver.core.epoch})


async def read_log(here: Here, start: int, limit: int) -> Answer:
    """LOG: committed records as they are, control records too; a little at a time: nobody has to wait for it."""
    end = here.driver.high_watermark
    rows: list[Row] = []
    at = Offset(start)
    _check_kept(here, at)
    while at < end and len(rows) < limit:
        _check_kept(here, at)  # it may have been trimmed while others had their turn
        for batch in here.store.read(at, end, LOG_READ_BYTES):
            for row in rows_of(batch, start):
                rows.append(row)
                if len(rows) % LOG_SLICE_ROWS == 0:
                    await trio.lowlevel.checkpoint()
                if len(rows) >= limit:
                    break
            at = batch.end_offset
            if len(rows) >= limit:
                break
        await trio.lowlevel.checkpoint()
    pairs: Pairs = {"count": len(rows), "offset": end}
    if rows and len(rows) >= limit:
        following = int(rows[-1].pairs["offset"]) + 1  # type: ignore[arg-type]
        if following < end:
            pairs["next"] = following
    return Answer(pairs=pairs, rows=rows)


def _check_kept(here: Here, offset: int) -> None:
    oldest = here.store.start_offset
    if offset < oldest:
        raise RefusedError(
            "OFFSET_COMPACTED",
            f"the log is kept from offset {oldest} on",
            details={"oldest": oldest},
            hint=f"LOG from={oldest}",
        )


async def create_snapshot(here: Here, wait: bool) -> Answer:
    """SNAPSHOT CREATE: of this node, at what it has applied; what only the file will tell is null without `wait`."""
    if not wait:
        return Answer(pairs=here.snapshots.request().pairs)
    row = await here.snapshots.take()
    return Answer(pairs=row.pairs)


async def list_snapshots(here: Here) -> Answer:
    """SNAPSHOT LIST: of this node, oldest first."""
    rows = await here.snapshots.rows()
    return Answer(pairs={"count": len(rows), "offset": here.driver.loader.end_offset}, rows=rows)
