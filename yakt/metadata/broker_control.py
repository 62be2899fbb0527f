"""Decides what becomes of brokers: registration, heartbeats, fencing, leaving (controller.md §2 to §4)."""

import hashlib
from enum import Enum

import msgspec

from yakt.ids import ZERO_UUID, Uuid, format_uuid
from yakt.metadata import refusals
from yakt.metadata.backlog import NOT_YET, SLICE, Work
from yakt.metadata.commands import (
    ChangeBroker,
    FenceBroker,
    HeartbeatBroker,
    RegisterBroker,
    RegisterKafkaBroker,
    UnregisterBroker,
)
from yakt.metadata.decision import Decision, Stamp, fresh_uuid
from yakt.metadata.features import KRAFT_VERSION, METADATA_VERSION, OFF, SUPPORTED, Levels
from yakt.metadata.partition_change import in_sync_on, lead_leaderless, leaderless_on, remove_broker
from yakt.metadata.records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    Record,
    RegisterBrokerRecord,
    UnregisterBrokerRecord,
)
from yakt.metadata.row_records import broker_record
from yakt.metadata.rows import PROTOCOLS, BrokerRow, PartitionKey, PartitionRow
from yakt.metadata.sessions import Session
from yakt.metadata.state import State, has_leader_on
from yakt.metadata.tags import Registration, with_registration

FEATURES = tuple(BrokerFeature(name, *levels) for name, levels in SUPPORTED.items())
"""What a broker registered by a line supports: as YAKt does."""
NAME_SIZE_MAX = 32_767
RESERVED_UUIDS = 100
"""The uuids below this number are Kafka's own (records.md §4)."""
ALL_APPLIED = 2**63 - 1
"""Of a broker that does not say how far it is: caught up, whatever comes."""
SESSION_MS_MIN = 1
SESSION_MS_MAX = 7 * 24 * 3600 * 1000


class _Next(Enum):
    """What a heartbeat leaves a broker as (BrokerControlState)."""

    FENCED = "fenced"
    UNFENCED = "unfenced"
    CONTROLLED_SHUTDOWN = "controlled shutdown"
    SHUTDOWN_NOW = "shutdown now"


def directory_of(cluster_id: str, broker_id: int) -> Uuid:
    """The one log directory of a broker registered by a line: the same over incarnations. A version 4 uuid by form."""
    made = bytearray(hashlib.sha256(f"yakt log directory\0{cluster_id}\0{broker_id}".encode()).digest()[:16])
    made[6] = made[6] & 0x0F | 0x40
    made[8] = made[8] & 0x3F | 0x80
    if made[0] >> 2 == 0b111110:  # would begin with `-`
        made[0] ^= 0x80
    return Uuid(bytes(made))


def find(state: State, broker_id: int, epoch: int | None = None) -> BrokerRow:
    """The registration. Raises RefusedError: UNKNOWN_BROKER, or STALE_BROKER_EPOCH if `epoch` is another."""
    row = state.brokers.get(broker_id)
    if row is None:
        raise refusals.unknown_broker(broker_id, state.end_offset, state.broker_ids())
    if epoch is not None and epoch != row.epoch:
        raise refusals.stale_broker_epoch(epoch, row.epoch)
    return row


def session_ms(row: BrokerRow, stamp: Stamp) -> int:
    return stamp.settings.broker_session_timeout_ms if row.session_ms is None else row.session_ms


def _check_endpoint(host: str | None, port: int | None, rack: str | None, protocol: str | None) -> None:
    for key, text in (("host", host), ("rack", rack), ("protocol", protocol)):
        if text is not None and len(text.encode("utf-8", "surrogatepass")) > NAME_SIZE_MAX:
            raise refusals.invalid_request(f"{key} is longer than {NAME_SIZE_MAX} bytes", key=key)
    if host is not None and not host:
        raise refusals.invalid_request("host is empty", key="host")
    if protocol is not None and not protocol:
        raise refusals.invalid_request("protocol is empty", key="protocol")
    if port is not None and not 0 <= port <= 65_535:
        raise refusals.invalid_request(f"port {port} is not in 0 to 65535", key="port")


def _end_point(host: str, port: int, protocol: str) -> BrokerEndpoint:
    """Named as its protocol; one that Kafka does not know is recorded as PLAINTEXT (seed-api.md)."""
    known = protocol if protocol in PROTOCOLS else "PLAINTEXT"
    return BrokerEndpoint(known, host, port, PROTOCOLS.index(known))


def register(state: State, command: RegisterBroker, stamp: Stamp) -> Decision:
    """BROKER REGISTER: a new incarnation, fenced; or the same one again, which keeps epoch and state."""
    _check_id(command.id)
    _check_endpoint(command.host, command.port, command.rack, command.protocol)
    if command.session_ms is not None and not SESSION_MS_MIN <= command.session_ms <= SESSION_MS_MAX:
        raise refusals.invalid_request(
            f"session {command.session_ms} ms is not in {SESSION_MS_MIN} to {SESSION_MS_MAX}", key="session"
        )
    _check_session(state, command.id, command.incarnation, stamp)
    directory = directory_of(stamp.settings.cluster_id, command.id)
    _check_directories(state, command.id, (directory,))
    _check_features(state, FEATURES)
    protocol = command.protocol.upper() if command.protocol.upper() in PROTOCOLS else command.protocol
    incarnation = command.incarnation if command.incarnation is not None else fresh_uuid(stamp.new_uuid)
    record = RegisterBrokerRecord(
        command.id,
        incarnation,
        -1,
        (_end_point(command.host, command.port, protocol),),
        FEATURES,
        command.rack or None,
        log_dirs=(directory,),
    )
    extra = Registration(0, command.session_ms, None if protocol in PROTOCOLS else protocol)
    decision = _registered(state, record, extra, stamp)
    return _contacted(state, command, record, decision, stamp) if command.alive else decision


def _contacted(
    state: State, command: RegisterBroker, record: RegisterBrokerRecord, registered: Decision, stamp: Stamp
) -> Decision:
    """The registration counts as a heartbeat: unfenced in the same operation, and its session begins."""
    epoch = registered.pairs["epoch"]
    assert isinstance(epoch, int)
    records = list(registered.records)
    later: list[PartitionKey] = []
    if registered.pairs["fenced"]:
        row = BrokerRow(
            record.broker_id,
            epoch,
            record.incarnation_id,
            record.end_points,
            record.features,
            record.rack,
            fenced=False,
            shutting_down=False,
            directories=record.log_dirs,
            offset=stamp.next_offset,
            registered_offset=stamp.next_offset,
        )
        records.append(BrokerRegistrationChangeRecord(row.id, epoch, fenced=-1))
        leaderless = leaderless_on(state, row.id)
        records += lead_leaderless(state, stamp.settings, leaderless[:SLICE], also_active=row.id, as_it_will_be=row)
        later = [one.key for one in leaderless[SLICE:]]
    now = stamp.now
    length_ms = stamp.settings.broker_session_timeout_ms if command.session_ms is None else command.session_ms

    def begin(_last_offset: int) -> None:
        stamp.sessions.touch(record.broker_id, epoch, now, length_ms).applied_offset = ALL_APPLIED
        if later:
            stamp.backlog.add(Work.LEAD, record.broker_id, epoch, later)

    return Decision(records, {**registered.pairs, "fenced": False}, begin, may_split=True)


def register_kafka(state: State, command: RegisterKafkaBroker, stamp: Stamp) -> Decision:
    """BrokerRegistration, checked in Kafka's order (controller.md §2)."""
    if command.cluster_id != stamp.settings.cluster_id:
        raise refusals.inconsistent_cluster_id(command.cluster_id, stamp.settings.cluster_id)
    _check_id(command.id)
    _check_session(state, command.id, command.incarnation, stamp)
    if command.is_migrating_zk_broker:
        raise refusals.unknown_broker(command.id, state.end_offset, state.broker_ids())
    _check_directories(state, command.id, command.log_dirs)
    if all(feature.name != METADATA_VERSION for feature in command.features):
        raise refusals.invalid_registration(f"broker {command.id} does not say which {METADATA_VERSION} it supports")
    _check_features(state, command.features)
    record = RegisterBrokerRecord(
        command.id,
        command.incarnation,
        -1,
        command.end_points,
        command.features,
        command.rack,
        log_dirs=command.log_dirs,
    )
    return _registered(state, record, Registration(0, None, None), stamp)


def _check_id(broker_id: int) -> None:
    if not 0 <= broker_id <= 2**31 - 1:
        raise refusals.invalid_request(f"broker id {broker_id} is not in 0 to {2**31 - 1}", key="id")


def _check_session(state: State, broker_id: int, incarnation: Uuid | None, stamp: Stamp) -> None:
    """Another incarnation has to wait until the present one's session is over: two with one id corrupt data."""
    before = state.brokers.get(broker_id)
    if before is None or before.incarnation == incarnation:
        return
    left_s = stamp.sessions.left_s(broker_id, before.epoch, stamp.now)
    if left_s > 0:
        raise refusals.duplicate_broker(broker_id, before.epoch, max(1, round(left_s * 1000)))


def _check_directories(state: State, broker_id: int, directories: tuple[Uuid, ...]) -> None:
    if not directories:
        raise refusals.invalid_registration(f"broker {broker_id} names no log directory")
    if len(set(directories)) != len(directories):
        raise refusals.invalid_registration(f"broker {broker_id} names a log directory twice")
    for directory in directories:
        if directory[:15] == ZERO_UUID[:15] and directory[15] < RESERVED_UUIDS:
            raise refusals.invalid_registration(f"{format_uuid(directory)} is reserved and no log directory's id")
        owner = state.directories.get(directory)
        if owner is not None and owner != broker_id:
            raise refusals.invalid_registration(f"broker {owner} has the log directory of broker {broker_id}")


def _registered(state: State, record: RegisterBrokerRecord, extra: Registration, stamp: Stamp) -> Decision:
    """What a sound registration comes to; `record` and `extra` without what only the state before can tell."""
    broker_id = record.broker_id
    before = state.brokers.get(broker_id)
    is_again = before is not None and before.incarnation == record.incarnation_id
    closed = state.closed.get(broker_id)
    known_changes = before.changes if before is not None else closed.changes if closed is not None else -1
    records: list[Record] = []
    if before is not None and not is_again:
        records += remove_broker(state, stamp.settings, broker_id, in_sync_on(state, broker_id))
    epoch = before.epoch if before is not None and is_again else stamp.next_offset
    fenced = before.fenced if before is not None and is_again else True
    record = msgspec.structs.replace(
        record,
        broker_epoch=epoch,
        fenced=fenced,
        in_controlled_shutdown=before.shutting_down if before is not None and is_again else False,
    )
    records.append(with_registration(record, Registration(known_changes + 1, extra.session_ms, extra.protocol)))

    def drop_session(_last_offset: int) -> None:
        if not is_again:
            stamp.sessions.end(broker_id)

    return Decision(
        records,
        {"epoch": epoch, "uuid": format_uuid(record.incarnation_id), "fenced": fenced},
        drop_session,
        may_split=True,
    )


def _check_features(state: State, features: tuple[BrokerFeature, ...]) -> None:
    """Every level in force must be one that this broker supports, and none that it cannot go without."""
    supported = {
        feature.name: Levels(feature.min_supported_version, feature.max_supported_version) for feature in features
    }
    levels = {row.name: row.level for row in state.features.rows()}
    levels[KRAFT_VERSION] = state.kraft_version
    for name in sorted({*supported, *levels}):
        can, level = supported.get(name, OFF), levels.get(name, 0)
        if level not in can:
            raise refusals.unsupported_version(
                f"feature {name} is at level {level}, this broker supports {can.least} to {can.most}", feature=name
            )


def change(state: State, command: ChangeBroker, stamp: Stamp) -> Decision:
    """BROKER CHANGE: the registration written anew, epoch, incarnation and state kept."""
    row = find(state, command.id)
    _check_endpoint(command.host, command.port, command.rack, command.protocol)
    point = row.end_points[0] if row.end_points else BrokerEndpoint("PLAINTEXT", "", 0, 0)
    host = point.host if command.host is None else command.host
    port = point.port if command.port is None else command.port
    shown = row.protocol_name
    protocol = shown if command.protocol is None else command.protocol
    protocol = protocol.upper() if protocol.upper() in PROTOCOLS else protocol
    rack = row.rack if command.rack is None else command.rack or None
    if (host, port, protocol, rack) == (point.host, point.port, shown, row.rack):
        return Decision([], {"epoch": row.epoch})
    end_points = (_end_point(host, port, protocol), *row.end_points[1:])
    if protocol == shown:
        end_points = (BrokerEndpoint(point.name, host, port, point.security_protocol), *row.end_points[1:])
    record = msgspec.structs.replace(broker_record(row), end_points=end_points, rack=rack)
    extra = Registration(row.changes + 1, row.session_ms, None if protocol in PROTOCOLS else protocol)
    return Decision([with_registration(record, extra)], {"epoch": row.epoch})


def unregister(state: State, command: UnregisterBroker, stamp: Stamp) -> Decision:
    """BROKER UNREGISTER: out of every ISR, then gone."""
    row = find(state, command.id)
    records: list[Record] = [*remove_broker(state, stamp.settings, row.id, in_sync_on(state, row.id))]
    records.append(UnregisterBrokerRecord(row.id, row.epoch))
    return Decision(records, {}, lambda _last_offset: stamp.sessions.end(row.id), may_split=True)


def fence(state: State, command: FenceBroker, stamp: Stamp) -> Decision:
    """BROKER FENCE: holds until the next heartbeat, for its session is over too."""
    row = find(state, command.id)
    return Decision(
        [] if row.fenced else fence_records(state, row, stamp),
        {},
        lambda _last_offset: stamp.sessions.end(row.id),
        may_split=True,
    )


def fence_records(state: State, row: BrokerRow, stamp: Stamp) -> list[Record]:
    """Out of every ISR, leaderships moved, and last the fence itself."""
    return [*remove_broker(state, stamp.settings, row.id, in_sync_on(state, row.id)), fence_record(row)]


def fence_record(row: BrokerRow) -> BrokerRegistrationChangeRecord:
    """That it is fenced: what goes before it in the log, it leads and is in sync with no more."""
    return BrokerRegistrationChangeRecord(row.id, row.epoch, fenced=1)


def heartbeat(state: State, command: HeartbeatBroker, stamp: Stamp) -> Decision:
    """BROKER HEARTBEAT: the table of controller.md §3; nothing is written unless the broker's state changes.

    Of more partitions than a slice the rest is moved afterwards: a broker that shuts down is told to wait for that, and
    one that is unfenced waits for nothing but leaderships.
    """
    row = find(state, command.id, command.epoch)
    sessions, settings, now = stamp.sessions, stamp.settings, stamp.now
    applied_offset = ALL_APPLIED if command.at is None else command.at
    is_caught_up = applied_offset >= row.registered_offset
    session = sessions.get(row.id, row.epoch)
    shutdown_offset = session.shutdown_offset if session is not None else None
    after = _next_state(state, command, row, shutdown_offset, is_caught_up, stamp)
    failed = [directory for directory in row.directories if directory in command.offline]
    left = tuple(directory for directory in row.directories if directory not in failed)
    records: list[Record] = []
    work, rows = Work.LEAD, list[PartitionRow]()
    begins_shutdown = is_out = False
    match after:
        case _Next.FENCED | _Next.SHUTDOWN_NOW if not row.fenced:
            records, is_out = fence_records(state, row, stamp), True
        case _Next.UNFENCED if row.fenced:
            records = [BrokerRegistrationChangeRecord(row.id, row.epoch, fenced=-1)]
            rows = [one for one in leaderless_on(state, row.id) if _directory_on(one, row.id) not in failed]
            # One that was shutting down stays so until it registers anew: unfenced, but not active.
            also_active = None if row.shutting_down else row.id
            records += lead_leaderless(state, settings, rows[:SLICE], also_active=also_active)
        case _Next.CONTROLLED_SHUTDOWN if shutdown_offset is None:
            work, begins_shutdown, is_out = Work.SHUT_DOWN, True, True
            if not row.shutting_down:
                records = [BrokerRegistrationChangeRecord(row.id, row.epoch, in_controlled_shutdown=1)]
            rows = in_sync_on(state, row.id)
            records += remove_broker(state, settings, row.id, rows[:SLICE])
    if failed and not is_out:  # what is in directories that failed is out of sync, and leads nothing (KIP-858)
        lost = [one for one in in_sync_on(state, row.id) if _directory_on(one, row.id) in failed]
        records += remove_broker(state, settings, row.id, lost)
    if failed and left:
        records.append(BrokerRegistrationChangeRecord(row.id, row.epoch, log_dirs=left))
    later = [one.key for one in rows[SLICE:]]

    def touch(last_offset: int) -> None:
        if after is _Next.SHUTDOWN_NOW:
            sessions.end(row.id)  # it goes, and one that comes back need not wait (controller.md §2)
            return
        touched: Session = sessions.touch(row.id, row.epoch, now, session_ms(row, stamp))
        touched.applied_offset = applied_offset
        if later:
            stamp.backlog.add(work, row.id, row.epoch, later)
        if begins_shutdown:
            touched.shutdown_offset = NOT_YET if later else last_offset
        elif after is not _Next.CONTROLLED_SHUTDOWN:
            touched.shutdown_offset = None

    return Decision(
        records,
        {
            "fenced": after in (_Next.FENCED, _Next.SHUTDOWN_NOW),
            "caught_up": is_caught_up,
            "shutdown": after is _Next.SHUTDOWN_NOW,
        },
        touch,
        may_split=True,
    )


def _directory_on(row: PartitionRow, broker_id: int) -> Uuid:
    """Where the broker has its replica, which there must be."""
    return row.directories[row.replicas.index(broker_id)]


def _next_state(
    state: State,
    command: HeartbeatBroker,
    row: BrokerRow,
    shutdown_offset: int | None,
    is_caught_up: bool,
    stamp: Stamp,
) -> _Next:
    if row.fenced:
        if command.shutdown:
            return _Next.SHUTDOWN_NOW
        return _Next.UNFENCED if is_caught_up and not command.fence else _Next.FENCED
    leads = (command.shutdown or shutdown_offset is not None) and has_leader_on(
        state.partitions.of_broker(row.id), row.id
    )
    if shutdown_offset is not None:
        is_seen = shutdown_offset <= _lowest_applied_offset(state, stamp)
        return _Next.SHUTDOWN_NOW if not leads and is_seen else _Next.CONTROLLED_SHUTDOWN
    if command.fence:
        return _Next.SHUTDOWN_NOW if command.shutdown else _Next.FENCED
    if command.shutdown:
        return _Next.CONTROLLED_SHUTDOWN if leads else _Next.SHUTDOWN_NOW
    return _Next.UNFENCED


def _lowest_applied_offset(state: State, stamp: Stamp) -> int:
    """Of all active brokers; with none active, all there is."""
    lowest = ALL_APPLIED
    for row in state.brokers.rows():
        if row.active:
            session = stamp.sessions.get(row.id, row.epoch)
            if session is not None:
                lowest = min(lowest, session.applied_offset)
    return lowest
