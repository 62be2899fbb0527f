"""Asks of one node: its status, health, quorum, log and snapshots. Answers are rows and pairs, as for queries."""

from typing import TYPE_CHECKING

import trio

from yakt.batch import RecordBatch
from yakt.errors import RefusedError
from yakt.ids import NodeId, Offset
from yakt.metadata import commands
from yakt.metadata.commands import Answer, Asked, Result, Row
from yakt.node.log_rows import rows_of
from yakt.node.snapshots import find_snapshot, snapshot_row, verify_snapshot
from yakt.raft import events
from yakt.raft.statistics import ReplicaStatistics, Statistics

if TYPE_CHECKING:
    from yakt.node.node_service import NodeService

HEALTH_S = 1.0
LOG_READ_BYTES = 256 * 1024


def is_ask(command: object) -> bool:
    """Whether `answer` takes it."""
    return isinstance(command, commands.NodeAsk.__args__)


def answer_at_once(service: "NodeService", asked: Asked) -> Result | None:
    """The answer, where nothing has to be waited for; else None."""
    return show_status(service) if type(asked.command) is commands.ShowStatus else None


async def answer(service: "NodeService", asked: Asked) -> Result:
    """The answer to an ask that may take a while; whoever calls bounds it. Raises RefusedError."""
    match asked.command:
        case commands.ShowStatus():
            return show_status(service)
        case commands.ListSnapshots():
            return await list_snapshots(service)
        case commands.ShowHealth():
            return await show_health(service)
        case commands.ShowQuorum():
            return await show_quorum(service, asked)
        case commands.TransferLeadership(to=to):
            if not service.leads:
                return await service.at_leader(asked)
            return await transfer(service, to)
        case commands.ReadLog(start=start, limit=limit):
            await service.confirm(asked)
            return await read_log(service, start, limit)
        case commands.CreateSnapshot(wait=wait):
            return await create_snapshot(service, wait)
        case commands.VerifySnapshot(id=name):
            snapshot_id, size = find_snapshot(service.store.snapshots, name)
            records, _ = await verify_snapshot(service.store, snapshot_id)
            return Answer(pairs=snapshot_row(snapshot_id, size, records).pairs)
    raise AssertionError(asked.command)


def show_status(service: "NodeService") -> Answer:
    """STATUS."""
    driver = service.driver
    core = driver.core
    return Answer(
        pairs={
            "node": service.info.node_id,
            "role": core.role_name,
            "leader": driver.leader_id,
            "epoch": core.epoch,
            "log_end": core.log_end_offset,
            "high_watermark": driver.high_watermark,
            "applied": driver.loader.end_offset,
            "cluster": service.info.cluster_id,
            "uptime_ms": int((trio.current_time() - service.started_at) * 1000),
            "voter": core.is_voter,
            "log_start": service.store.start_offset,
            "version": service.info.version,
        }
    )


async def show_health(service: "NodeService") -> Answer:
    """HEALTH: asks the leader and a majority, as a write would; never guesses from timers."""
    reasons: list[str] = []
    options = commands.Options(timeout_ms=int(HEALTH_S * 1000))
    try:
        await service.confirm(Asked(command=commands.ListFeatures(), options=options))
    except RefusedError as refusal:
        if service.driver.leader_id is None:
            reasons.append("no leader is known")
        else:
            reasons.append(f"node {service.driver.leader_id} leads, but did not confirm it: {refusal.message}")
    if not service.driver.core.is_voter:
        reasons.append(
            "this node's disk is not the one its id was first met with: it follows as an observer and does not vote"
        )
    ready = not reasons or (len(reasons) == 1 and not service.driver.core.is_voter)
    return Answer(pairs={"ready": ready, "reasons": reasons})


async def show_quorum(service: "NodeService", asked: Asked) -> Result:
    """QUORUM SHOW: the leader's view, or what this node knows where there is none to be asked."""
    if not service.driver.core.is_leader:
        with trio.move_on_after(min(HEALTH_S, asked.options.timeout_ms / 1000)):
            if service.driver.leader_id is not None:
                return await service.at_leader(asked)
    driver = service.driver
    statistics = driver.core.statistics(driver.around.now())
    rows = [_replica_row(service, statistics, replica, "voter") for replica in statistics.voters]
    rows += [_replica_row(service, statistics, replica, "observer") for replica in statistics.observers]
    return Answer(
        pairs={"leader": driver.leader_id, "epoch": driver.core.epoch, "high_watermark": driver.high_watermark},
        rows=rows,
    )


def _replica_row(service: "NodeService", statistics: Statistics, replica: ReplicaStatistics, kind: str) -> Row:
    """What the leader knows of a replica; another node, of itself alone."""
    role: str | None = None
    if replica.id == service.info.node_id and kind == "voter":
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
    pairs: commands.Pairs = {
        "id": replica.id,
        "role": role,
        "end": replica.end_offset,
        "lag": lag,
        "last_fetch_ms": fetched_ms,
        "address": service.driver.around.peer_address(replica.id),
    }
    if replica.fell_back:
        pairs["fell_back"] = True
    return Row(kind=kind, pairs=pairs)


async def transfer(service: "NodeService", to: int | None) -> Answer:
    """QUORUM TRANSFER at the leader: done when another node leads."""
    driver = service.driver
    if to is not None and to not in driver.core.voter_ids:
        raise RefusedError("BAD_ARGUMENT", f"node {to} is no voter", details={"key": "to"}, hint="QUORUM SHOW")
    if to == service.info.node_id:
        return Answer(pairs={"leader": to, "epoch": driver.core.epoch})
    driver.take(events.TransferAsked(None if to is None else NodeId(to)))
    service.end_turn()
    leader = await service.wait_for_leader(other_than=service.info.node_id)
    return Answer(pairs={"leader": leader, "epoch": driver.core.epoch})


async def read_log(service: "NodeService", start: int, limit: int) -> Answer:
    """LOG: committed records as they are, control records too."""
    end = service.driver.high_watermark
    oldest = service.store.start_offset
    if start < oldest:
        raise RefusedError(
            "OFFSET_COMPACTED",
            f"the log is kept from offset {oldest} on",
            details={"oldest": oldest},
            hint=f"LOG from={oldest}",
        )
    rows: list[Row] = []
    at = Offset(start)
    while at < end and len(rows) < limit:
        batches = service.store.read(at, end, LOG_READ_BYTES)
        for batch in batches:
            rows.extend(_rows_from(batch, start, limit - len(rows)))
            at = batch.end_offset
            if len(rows) >= limit:
                break
        await trio.lowlevel.checkpoint()
    pairs: commands.Pairs = {"count": len(rows), "offset": end}
    if rows and len(rows) >= limit:
        following = int(rows[-1].pairs["offset"]) + 1  # type: ignore[arg-type]
        if following < end:
            pairs["next"] = following
    return Answer(pairs=pairs, rows=rows)


def _rows_from(batch: RecordBatch, start: int, limit: int) -> list[Row]:
    rows = [row for row in rows_of(batch) if int(row.pairs["offset"]) >= start]  # type: ignore[arg-type]
    return rows[:limit]


async def create_snapshot(service: "NodeService", wait: bool) -> Answer:
    """SNAPSHOT CREATE: of this node, at what it has applied."""
    if not wait:
        service.request_snapshot()
        return Answer(pairs={"requested": True, "offset": service.applied_end_offset})
    row = await service.snapshot_now()
    return Answer(pairs=row.pairs)


async def list_snapshots(service: "NodeService") -> Answer:
    """SNAPSHOT LIST: of this node, oldest first."""
    assert service.snapshots is not None
    rows = await service.snapshots.rows()
    return Answer(pairs={"count": len(rows), "offset": service.applied_end_offset}, rows=rows)
