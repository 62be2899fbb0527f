"""Why a partition or a broker is as it is, in plain words, with the next command to type (EXPLAIN). Reads only.

A line is a sentence or two, or `Type: ` and a command.
"""

from collections.abc import Callable, Iterator, Sequence

import attrs

from yakt.ids import Instant
from yakt.metadata import refusals
from yakt.metadata.assignment_control import find as find_partition
from yakt.metadata.broker_control import directory_of
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.partition_change import is_online, is_unclean_allowed
from yakt.metadata.records import NO_LEADER
from yakt.metadata.rows import BROKER_CONFIG, RECOVERING, TOPIC_CONFIG, BrokerRow, ClosedBroker, PartitionRow
from yakt.metadata.sessions import Sessions
from yakt.metadata.state import State

NAMES_MAX = 5
"""Of partitions that are named before the rest are counted."""
MIN_INSYNC = "min.insync.replicas"


@attrs.frozen(kw_only=True)
class Known:
    """What is known beside the image. `sessions` None: another node leads, and keeps them."""

    settings: ControllerSettings
    sessions: Sessions | None
    now: Instant
    where: str
    """Who keeps the sessions, if not this node: `node 2 leads, at 10.0.0.2:7102`."""
    told: Callable[[int], str]
    """Of the record at an offset: when it was written, by whom and why."""


def type_(command: str) -> str:
    """The line that offers a command."""
    return f"Type: {command}"


def numbers(ids: Sequence[int]) -> str:
    """`1, 2 and 3`."""
    *others, last = map(str, ids)
    return f"{', '.join(others)} and {last}" if others else last


def brokers(ids: Sequence[int]) -> str:
    """`broker 1`, `brokers 1 and 2`."""
    return f"broker{'s'[: len(ids) > 1]} {numbers(ids)}"


def duration(seconds: float) -> str:
    """In words, coarse: `0.4 s`, `12 s`, `3 min`, `5 h`, `4 days`."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, until in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < until:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} days"


# --- partitions -------------------------------------------------------------------------------------------------------


def partition(state: State, known: Known, topic: str, number: int) -> list[str]:
    """Who leads it or why nobody does, who may, who is out of sync, and what helps. Raises RefusedError."""
    row = find_partition(state, topic, number)
    return list(_partition(state, known, row))


def _partition(state: State, known: Known, row: PartitionRow) -> Iterator[str]:
    name = f"{row.topic}:{row.partition}"
    out = [member for member in row.replicas if member not in row.isr]
    if row.leader == NO_LEADER:
        yield f"{name} has no leader: nobody can write to it or read from it."
    elif out:
        is_are = "is" if len(out) == 1 else "are"
        count = len(row.replicas)
        yield f"{name} is led by broker {row.leader}; {len(out)} of its {count} replicas {is_are} out of sync."
    else:
        all_ = "its only replica is" if len(row.replicas) == 1 else f"all its {len(row.replicas)} replicas are"
        yield f"{name} is led by broker {row.leader}, and {all_} in sync."
    for member in row.replicas:
        yield _replica(state, row, member)
    if row.leader == NO_LEADER:
        yield from _leaderless(state, known, row)
    else:
        yield from _led(state, row)
        yield from _out_of_sync(state, known, row, out)
    yield from _moving(row)
    yield from _promises(state, row)
    yield f"It last changed {known.told(row.offset)}."
    yield type_(f"HISTORY {name} say=true")


def _replica(state: State, row: PartitionRow, member: int) -> str:
    trouble = _trouble(state, row, member)
    roles = [
        word
        for word, holds in (
            ("leads", member == row.leader),
            ("preferred", member == row.replicas[0] and len(row.replicas) > 1),
            ("being added", member in row.adding),
            ("being removed", member in row.removing),
        )
        if holds
    ]
    shown = f" ({', '.join(roles)})" if roles else ""
    return f"Broker {member}{shown}: {trouble or 'alive'}, {'in sync' if member in row.isr else 'out of sync'}."


def _trouble(state: State, row: PartitionRow, member: int) -> str | None:
    """Why it could not lead this partition, in sync or not."""
    broker = state.brokers.get(member)
    if broker is None:
        return "not registered"
    if broker.fenced:
        return "fenced"
    if broker.shutting_down:
        return "shutting down"
    if not is_online(broker, row.directories[row.replicas.index(member)]):
        return "alive, but its log directory has failed"
    return None


def _leaderless(state: State, known: Known, row: PartitionRow) -> Iterator[str]:
    name = f"{row.topic}:{row.partition}"
    missing = "it is not" if len(row.isr) == 1 else "none of them is"
    yield f"Without loss only a replica that was in sync may lead: {brokers(row.isr)}, and {missing} there."
    for member in row.isr:
        yield from _revival(state, known, row, member)
    alive = [one for one in row.replicas if one not in row.isr and _trouble(state, row, one) is None]
    if is_unclean_allowed(state, known.settings, row.topic):
        yield "unclean.leader.election.enable is on: any replica leads as soon as it is alive, whatever it has lost."
    elif alive:
        is_are, either = ("is", "it") if len(alive) == 1 else ("are", "either" if len(alive) == 2 else "each")
        yield (
            f"{brokers(alive).capitalize()} {is_are} alive, but out of sync: as the leader {either} would lose for "
            "ever what it has not copied. If that is better than to wait:"
        )
        yield type_(f"PARTITION LEADER {name} to={alive[0]} unclean=true")


def _revival(state: State, known: Known, row: PartitionRow, member: int) -> Iterator[str]:
    """What makes a replica fit to lead again, and what happens then."""
    broker = state.brokers.get(member)
    leads = f"broker {member} then leads {row.topic}:{row.partition} at once"
    if broker is None:
        yield f"Broker {member} has to register again; with its first heartbeat {leads}."
        yield type_(_registration(member, state.closed.get(member)))
    elif broker.fenced:
        yield from _unfencing(known, broker, f"; {leads}")
    elif broker.shutting_down:
        yield f"Broker {member} is shutting down; once it is up and registers again, {leads}."
        yield type_(f"EXPLAIN broker/{member}")
    else:
        yield f"The log directory of broker {member} has to come back online, which takes a restart of the broker."
        yield type_(f"EXPLAIN broker/{member}")


def _led(state: State, row: PartitionRow) -> Iterator[str]:
    name = f"{row.topic}:{row.partition}"
    if _trouble(state, row, row.leader) is not None:
        yield f"The leader, broker {row.leader}, is in trouble itself."
        yield type_(f"EXPLAIN broker/{row.leader}")
    heirs = [
        one
        for one in row.replicas
        if one != row.leader and one in row.isr and one not in row.removing and _trouble(state, row, one) is None
    ]
    if heirs:
        yield f"If broker {row.leader} stops, broker {heirs[0]} leads."
    else:
        yield f"If broker {row.leader} stops, nobody can lead {name}: no other replica is alive and in sync."
    preferred = row.replicas[0]
    if preferred == row.leader:
        return
    if preferred in heirs:
        yield f"Broker {preferred} is preferred: it gets the leadership back within 5 minutes, or at once:"
        yield type_(f"PARTITION LEADER {name}")
    else:
        yield f"Broker {preferred} is preferred, and gets the leadership back some minutes after it is in sync again."


def _out_of_sync(state: State, known: Known, row: PartitionRow, out: Sequence[int]) -> Iterator[str]:
    for member in out:
        trouble = _trouble(state, row, member)
        broker = state.brokers.get(member)
        if broker is not None and broker.fenced:
            yield from _unfencing(known, broker, "; it is in sync again once it has caught up")
        elif trouble is not None:
            yield f"Broker {member} is out of sync because it is {trouble.removeprefix('alive, but ')}."
            yield type_(f"EXPLAIN broker/{member}" if broker else _registration(member, state.closed.get(member)))
    ready = [member for member in out if _trouble(state, row, member) is None]
    leader = state.brokers.get(row.leader)
    if not ready or leader is None:
        return
    is_are = "is" if len(ready) == 1 else "are"
    yield (
        f"{brokers(ready).capitalize()} {is_are} alive: the leader, broker {row.leader}, takes such a replica back "
        "into the ISR once it has caught up."
    )
    if is_by_hand(leader, known.settings):
        isr = [member for member in row.replicas if member in row.isr or member in ready]
        yield type_(
            f"PARTITION ISR {row.topic}:{row.partition} broker={row.leader} epoch={leader.epoch} "
            f"leader-epoch={row.leader_epoch} partition-epoch={row.partition_epoch} isr=[{','.join(map(str, isr))}]"
        )
    else:
        yield "If it never does, the log of that broker says why it does not fetch, or of the leader why it is refused."
        yield type_(f"EXPLAIN broker/{ready[0]}")


def _moving(row: PartitionRow) -> Iterator[str]:
    if not row.adding and not row.removing:
        return
    staying = [member for member in row.replicas if member not in row.removing]
    missing = [member for member in staying if member not in row.isr]
    yield f"It moves to {brokers(staying)}" + (f": {brokers(missing)} must come in sync first." if missing else ".")
    yield type_(f"PARTITION CANCEL {row.topic}:{row.partition}")


def _promises(state: State, row: PartitionRow) -> Iterator[str]:
    value = state.config(TOPIC_CONFIG, row.topic, MIN_INSYNC) or state.config(BROKER_CONFIG, "", MIN_INSYNC)
    if value is not None and value.strip().isdecimal() and len(row.isr) < int(value):
        yield f"Producers with acks=all are refused: {MIN_INSYNC} is {int(value)}, in sync are {len(row.isr)}."
    if row.recovery == RECOVERING:
        yield "Its leader was elected out of sync and has not yet said that it has recovered: records may be lost."


# --- brokers ----------------------------------------------------------------------------------------------------------


def is_by_hand(broker: BrokerRow, settings: ControllerSettings) -> bool:
    """Whether it was registered by a line, so that nobody sends its heartbeats but who types them."""
    return broker.directories == (directory_of(settings.cluster_id, broker.id),)


def _registration(broker_id: int, closed: ClosedBroker | None) -> str:
    host, port = (closed.host, str(closed.port)) if closed is not None and closed.host else ("HOST", "PORT")
    return f"BROKER REGISTER {broker_id} host={host} port={port}"


def broker(state: State, known: Known, broker_id: int) -> list[str]:
    """Whether it is alive or fenced, since when and why; its session, what it holds and leads. Raises RefusedError."""
    row = state.brokers.get(broker_id)
    if row is not None:
        return list(_broker(state, known, row))
    closed = state.closed.get(broker_id)
    if closed is None:
        raise refusals.unknown_broker(broker_id, state.end_offset, state.broker_ids())
    return [
        f"Broker {broker_id} is not registered any more: it was unregistered {known.told(closed.offset)}.",
        *_holdings(state, broker_id),
        type_(_registration(broker_id, closed)),
    ]


def _broker(state: State, known: Known, row: BrokerRow) -> Iterator[str]:
    point = row.end_points[0] if row.end_points else None
    where = f"{point.host}:{point.port}" if point is not None else "no address"
    rack = f", rack {row.rack}" if row.rack is not None else ""
    if row.fenced:
        yield f"Broker {row.id} ({where}{rack}) is fenced: it leads nothing and is in no ISR that could do without it."
        if row.offset == row.registered_offset:
            yield f"It registered {known.told(row.registered_offset)}, and no heartbeat has unfenced it since."
        else:
            yield f"It was fenced {known.told(row.offset)}."
        yield from _unfencing(known, row, "")
    elif row.shutting_down:
        yield f"Broker {row.id} ({where}{rack}) is shutting down: its leaderships move, and then it may stop."
        yield f"That began {known.told(row.offset)}."
    else:
        yield f"Broker {row.id} ({where}{rack}) is alive: it may lead and be in sync."
        yield f"It last changed {known.told(row.offset)}."
    yield from _session(known, row)
    yield from _holdings(state, row.id)
    if not row.fenced:
        yield type_(f"PARTITION LIST broker={row.id}")
    yield type_(f"HISTORY broker/{row.id} say=true")


def _unfencing(known: Known, row: BrokerRow, then: str) -> Iterator[str]:
    session = None if known.sessions is None else known.sessions.get(row.id, row.epoch)
    if session is not None and -1 < session.applied_offset < row.registered_offset:
        yield (
            f"Broker {row.id} sends heartbeats, but has applied the log only up to offset {session.applied_offset}: it "
            f"stays fenced until it has applied its own registration, at {row.registered_offset}{then}."
        )
        yield type_("STATUS")
    elif is_by_hand(row, known.settings):
        yield f"Broker {row.id} is fenced, and was registered by a line: a heartbeat unfences it{then}."
        yield type_(f"BROKER HEARTBEAT {row.id}")
    else:
        yield (
            f"Broker {row.id} is fenced, and is a process of Kafka's: it sends its heartbeats itself once it runs and "
            f"reaches the controller, and they unfence it{then}. Its own log says what hinders it."
        )
        yield type_(f"BROKER SHOW {row.id}")


def _session(known: Known, row: BrokerRow) -> Iterator[str]:
    default_ms = known.settings.broker_session_timeout_ms
    length = duration((default_ms if row.session_ms is None else row.session_ms) / 1000)
    if known.sessions is None:
        yield f"A session of its lasts {length} from each heartbeat; until when, the leader alone knows: {known.where}."
        return
    session = known.sessions.get(row.id, row.epoch)
    left_s = known.sessions.left_s(row.id, row.epoch, known.now)
    if session is None or left_s <= 0:
        yield f"It has no session: no heartbeat came within the last {length}."
    else:
        yield (f"Its session lasts {length} from each heartbeat, and ends in {duration(left_s)} if no other comes.")


def _holdings(state: State, broker_id: int) -> Iterator[str]:
    leads, in_sync, behind, waiting, count = 0, 0, [], [], 0
    for row in state.partitions.of_broker(broker_id):
        count += 1
        leads += row.leader == broker_id
        if broker_id not in row.isr:
            behind.append(row)
        elif row.leader == NO_LEADER:
            waiting.append(row)
        in_sync += broker_id in row.isr
    if not count:
        yield "It holds no replica."
        return
    yield f"It holds {count} replica{'s'[: count != 1]}, leads {leads} and is in sync in {in_sync}."
    for rows, what in ((waiting, "Without a leader, and able to have it"), (behind, "Out of sync with it")):
        if rows:
            yield f"{what}: {_named(rows)}."
    if worst := waiting or behind:
        yield type_(f"EXPLAIN {_names(worst)[0]}")


def _names(rows: Sequence[PartitionRow]) -> list[str]:
    first = sorted((row.topic, row.partition) for row in rows)[:NAMES_MAX]
    return [f"{topic}:{number}" for topic, number in first]


def _named(rows: Sequence[PartitionRow]) -> str:
    names = ", ".join(_names(rows))
    return names if len(rows) <= NAMES_MAX else f"{names} and {len(rows) - NAMES_MAX} more"
