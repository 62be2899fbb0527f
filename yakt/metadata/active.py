"""ActiveController: what the leader alone does.

It decides on the image seen through the delta, counts offsets on from the log end, and has a deadline for what it does
of itself (sessions that end, the image's hash).

One lives for one leadership. It knows no log: what it has decided is fetched as encoded values (`take_batches`), in the
order of their offsets, and comes back as `commit` when a majority has it.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import google_crc32c
import msgspec

from yakt.batch import BATCH_SIZE_MAX
from yakt.errors import CodecError, RefusedError, ReplayError
from yakt.ids import Instant, Offset, Uuid
from yakt.metadata import codec, refusals, tags
from yakt.metadata.answers import Answer, Pairs, Result, Row
from yakt.metadata.asked import Asked, Origin
from yakt.metadata.backlog import Backlog
from yakt.metadata.broker_control import session_ms
from yakt.metadata.chores import Chores
from yakt.metadata.commands import Batch, HeartbeatBroker, SetScramCredential
from yakt.metadata.controller import check_unchanged, decide
from yakt.metadata.decision import NO_OPERATION, ControllerSettings, Decision, Stamp
from yakt.metadata.delta import MetadataDelta
from yakt.metadata.features import METADATA_LEVEL, METADATA_VERSION
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import (
    AbortTransactionRecord,
    ConfigRecord,
    FeatureLevelRecord,
    NoOpRecord,
    Record,
    RegisterControllerRecord,
)
from yakt.metadata.row_records import HASH_FORM
from yakt.metadata.rows import RememberedRequest
from yakt.metadata.sessions import Sessions
from yakt.metadata.tables import Change
from yakt.metadata.tags import ImageHash, image_hash_record, with_origin
from yakt.wire.table import encode_tags

RECORDS_MAX = 10_000
"""Of one operation, and of one batch."""
RECORD_OVERHEAD = 24
"""More than Kafka's framing of one record in a batch takes."""
BATCH_OVERHEAD = 128
HASH_INTERVAL_S = 1.0
IDLE_S = 0.5
"""A NoOpRecord ends so long an idleness (Kafka's metadata.max.idle.interval.ms) …"""
OBSERVED_S = 1.0
"""… while an observer has fetched within this time: it learns of the log's progress, and an idle log stands still."""
MARKS_MAX = 4096
"""Origins kept encoded: about a connection each."""
TEXT_SIZE_MAX = 4096
"""Of by, reason, client, request and address, in bytes: above the line protocol's limits, far below Kafka's."""


class Decided(msgspec.Struct, gc=False):
    """What came of one command. Its answer may be given once everything below `end_offset` is committed, if the epoch
    there is still this one. `wrote`: it appended records."""

    result: Result
    end_offset: int
    wrote: bool


class QuorumRecords(msgspec.Struct, frozen=True, gc=False):
    """In the place of a batch: here the leader's core shall bring kraft.version to this level, by `count` records."""

    kraft_version: int
    count: int = 2


class _Mark:
    """An operation's origin, and the whole tagged section of a record that has no other tag."""

    __slots__ = ("origin", "section")

    def __init__(self, origin: tags.Origin) -> None:
        self.origin = origin
        self.section = encode_tags(with_origin(NoOpRecord(), origin).tags)


class ActiveController:
    """Decides while this node leads `epoch`; `next_offset` is the log end when it began."""

    def __init__(
        self,
        image: MetadataImage,
        settings: ControllerSettings,
        epoch: int,
        next_offset: int,
        now: Instant,
        now_ms: int,
        new_uuid: Callable[[], Uuid],
        random: Callable[[], float],
        missing_voters: Callable[[int], Sequence[int]] = lambda _level: (),
    ) -> None:
        self.image = image
        self.settings = settings
        self.epoch = epoch
        self.sessions = Sessions(now)
        self.delta = MetadataDelta(image)
        self.delta.end_offset = next_offset
        self._stamp = Stamp(
            settings, self.sessions, new_uuid, random, next_offset, now, now_ms, Backlog(),
            missing_voters=missing_voters,
        )  # fmt: skip
        self._turn: list[list[bytes] | QuorumRecords] = []
        """Batches not fetched yet, the last one still growing."""
        self._batch_size = 0
        self._hash_told = image.hash_agreed
        self._hashes: deque[tuple[int, int]] = deque()
        """Those written and not committed, by the offset below which they hold."""
        self._hash_due = Instant(-math.inf)
        self._chores = Chores(self.delta, self._stamp)
        self._wrote_at = now
        self._observed_until = Instant(-math.inf)
        self._marks: dict[int, tuple[Origin, _Mark]] = {}
        for row in image.brokers.rows():
            if not row.fenced:
                self.sessions.touch(row.id, row.epoch, now, session_ms(row, self._stamp))
        self._activate(now_ms)

    @property
    def end_offset(self) -> Offset:
        """One past the last record decided: where the log will end."""
        return Offset(self._stamp.next_offset)

    @property
    def turn_records(self) -> int:
        """Records decided and not fetched yet."""
        return sum(one.count if isinstance(one, QuorumRecords) else len(one) for one in self._turn)

    # --- commands

    def submit(self, asked: Asked, now: Instant, now_ms: int) -> Decided:
        """Decide one command on the latest state. Never raises for what a client did: a refusal is a result."""
        command, options, origin = asked.command, asked.options, asked.origin
        stamp = self._stamp
        stamp.now, stamp.now_ms = now, now_ms
        try:
            crc = 0
            if origin.request:
                crc = command_crc(command)
                first = self._first_answer(origin, crc)
                if first is not None:
                    return first
            if type(command) is Batch:
                return self._submit_batch(command, asked)
            if options.if_offset is not None:
                check_unchanged(self.delta, command, options.if_offset)  # type: ignore[arg-type]
            decision = decide(self.delta, command, stamp)  # type: ignore[arg-type]
            if options.check:
                return self._checked(decision)
            return self._append(decision, origin, crc)
        except RefusedError as refusal:
            return Decided(refusal, self.end_offset, False)

    def note_contacts(self, asked: Sequence[Asked], now: Instant) -> None:
        """What has arrived and cannot be decided yet: heartbeats among it count from now on (controller.md §3)."""
        for one in asked:
            command = one.command
            if isinstance(command, HeartbeatBroker):
                self.sessions.contact(command.id, command.epoch, now)

    def _submit_batch(self, batch: Batch, asked: Asked) -> Decided:
        """Several commands as one operation: all that are not refused, or, where together they are too much, none."""
        assert not asked.origin.request
        delta = self.delta
        mark, end_offset = len(delta), delta.end_offset
        try:
            items, decision = self._decide_each(batch)
            if asked.options.check:
                _encode_all(decision.records)
                delta.take_back(mark)
                delta.end_offset = end_offset
                decided = Decided(Answer({"check": True, "records": len(decision.records)}), self.end_offset, False)
            else:
                decided = self._append(decision, asked.origin, 0, is_laid=True)
        except BaseException:
            delta.take_back(mark)
            delta.end_offset = end_offset
            raise
        assert isinstance(decided.result, Answer)
        told = decided.result.pairs
        decided.result.items = [
            item if isinstance(item, RefusedError) else Answer({**told, **item.pairs}, item.rows) for item in items
        ]
        return decided

    def _decide_each(self, batch: Batch) -> tuple[list[Decision | RefusedError], Decision]:
        """What comes of each, and of all together; their records lie on the delta. Raises RefusedError if too many."""
        stamp, delta = self._stamp, self.delta
        base_offset = stamp.next_offset
        items: list[Decision | RefusedError] = []
        records: list[Record] = []
        then: list[Callable[[int], None]] = []
        stamp.operation_offset = base_offset
        try:
            for command in batch.commands:
                try:
                    decision = decide(delta, command, stamp)
                except RefusedError as refusal:
                    items.append(refusal)
                    continue
                assert not decision.kraft_version  # its records are the quorum's: never one of several
                is_continued = bool(records)
                records += decision.records
                if len(records) > RECORDS_MAX:
                    raise _too_many(len(records))
                delta.replay(stamp.next_offset, decision.records, is_continued=is_continued)
                stamp.next_offset += len(decision.records)
                items.append(decision)
                if decision.then is not None:
                    then.append(decision.then)
        except ReplayError as exc:
            raise RefusedError("UNKNOWN_SERVER_ERROR", f"decided what does not fit: {exc}", kafka=-1) from exc
        finally:
            stamp.next_offset, stamp.operation_offset = base_offset, NO_OPERATION

        def all_of_them(last_offset: int) -> None:
            for one in then:
                one(last_offset)

        return items, Decision(records, {}, all_of_them)

    def _append(self, decision: Decision, origin: Origin, crc: int, *, is_laid: bool = False) -> Decided:
        records, pairs, stamp = decision.records, decision.pairs, self._stamp
        base_offset = stamp.next_offset
        if records:
            if decision.may_split:
                while len(records) > RECORDS_MAX:
                    self._write(records[:RECORDS_MAX], self._mark_of(without_request(origin), RECORDS_MAX))
                    records = records[RECORDS_MAX:]
            if origin.request:
                texts = self._texts_of(origin)
                self._write(records, _Mark(tags.Origin(len(records), *texts, crc, pairs)))
                self._remember(origin, crc, pairs)
            else:
                self._write(records, self._mark_of(origin, len(records)), is_laid=is_laid)
        if decision.kraft_version:
            due = QuorumRecords(decision.kraft_version)
            self._turn.append(due)
            stamp.next_offset += due.count
            self.delta.skip(due.count, due.kraft_version)
        end_offset = stamp.next_offset
        if decision.then is not None:
            decision.then(end_offset - 1)
        told: Pairs = {"offset": end_offset - 1}
        if pairs:
            told.update(pairs)
        return Decided(Answer(told, decision.rows), end_offset, end_offset != base_offset)

    def _write(self, records: Sequence[Record], mark: "_Mark | None", *, is_laid: bool = False) -> None:
        """Encode once, replay strictly on the delta, and put it into the turn; all or nothing.

        `mark` goes on the first record. Raises RefusedError for more than one operation may have, and for what would
        not fit the state: that is a fault of ours, and it must not enter the log. `is_laid`: they are on the delta.
        """
        stamp, first = self._stamp, records[0]
        try:
            plain = None
            if mark is None:
                values = [codec.encode(first)]
            elif type(first) is ConfigRecord:  # no tags of Kafka's: its bytes end with the empty section
                plain = codec.encode(first)
                values = [plain[:-1] + mark.section]
            else:
                values = [codec.encode(with_origin(first, mark.origin))]
            count, size = len(records), len(values[0]) + RECORD_OVERHEAD
            if count > 1:
                if count > RECORDS_MAX:
                    raise _too_many(count)
                values += map(codec.encode, records[1:])
                size = sum(map(len, values)) + RECORD_OVERHEAD * len(values)
            if size > BATCH_SIZE_MAX - BATCH_OVERHEAD:
                raise refusals.policy_violation(f"the operation has {size} bytes, {BATCH_SIZE_MAX} are allowed")
            if not is_laid:
                self.delta.replay(stamp.next_offset, records, plain)
        except (ReplayError, CodecError) as exc:
            raise RefusedError("UNKNOWN_SERVER_ERROR", f"decided what does not fit: {exc}", kafka=-1) from exc
        last = self._turn[-1] if self._turn else None
        if type(last) is not list or len(last) + count > RECORDS_MAX or self._batch_size + size > BATCH_SIZE_MAX:
            self._turn.append(values)
            self._batch_size = BATCH_OVERHEAD + size
        else:
            last += values
            self._batch_size += size
        stamp.next_offset += count
        self._wrote_at = stamp.now

    def _texts_of(self, origin: Origin) -> tuple[str, str, str, str, str]:
        """Raises RefusedError (BAD_ARGUMENT) for one that no reader of Kafka's would take."""
        for key in ("client", "address", "request", "by", "reason"):
            if len(getattr(origin, key).encode("utf-8", "surrogatepass")) > TEXT_SIZE_MAX:
                raise refusals.bad_argument(key, f"{key} is longer than {TEXT_SIZE_MAX} bytes")
        return origin.client, origin.address, origin.request, origin.by, origin.reason

    def _mark_of(self, origin: Origin, count: int) -> "_Mark":
        """Who asks and why, encoded; remembered, since a connection's commands share their origin."""
        known = self._marks.get(id(origin))
        if known is not None and known[0] is origin and known[1].origin.count == count:
            return known[1]
        mark = _Mark(tags.Origin(count, *self._texts_of(origin)))
        if len(self._marks) >= MARKS_MAX:
            self._marks.clear()
        self._marks[id(origin)] = (origin, mark)  # held, so that its id stays its own
        return mark

    def _first_answer(self, origin: Origin, crc: int) -> Decided | None:
        """What the same request was answered before, if it was. Raises RefusedError (CONFLICT) for another command."""
        known = self.delta.requests.get((origin.client, origin.request))
        if known is None:
            return None
        if known.crc != crc:
            raise refusals.conflict(
                f"request {origin.request} was another command, at offset {known.offset}", changed=known.offset
            )
        return Decided(Answer({"offset": known.offset, **known.answer}), Offset(known.offset + 1), False)

    def _remember(self, origin: Origin, crc: int, answer: Pairs) -> None:
        last_offset = self._stamp.next_offset - 1
        # As a follower will read it: an answer is JSON values.
        known = msgspec.json.decode(msgspec.json.encode(answer))
        self.delta.requests.put(
            (origin.client, origin.request),
            RememberedRequest(origin.client, origin.request, crc, last_offset, known),
            last_offset,
        )

    def _checked(self, decision: Decision) -> Decided:
        """`check=true`: what would be written, and that it would fit; nothing is."""
        records = decision.records
        mark, end_offset = len(self.delta), self.delta.end_offset
        try:
            _encode_all(records)
            self.delta.replay(self._stamp.next_offset, records)
        except ReplayError as exc:
            raise RefusedError("UNKNOWN_SERVER_ERROR", f"decided what does not fit: {exc}", kafka=-1) from exc
        finally:
            self.delta.take_back(mark)
            self.delta.end_offset = end_offset
        if len(records) > RECORDS_MAX and not decision.may_split:
            raise _too_many(len(records))
        rows = [
            Row("record", {"kind": codec.kind_of(record), "fields": cast(Pairs, codec.shown_record(record))})
            for record in records
        ]
        return Decided(Answer({"check": True, "records": len(records)}, rows), self.end_offset, False)

    # --- the log's side

    def take_batches(self) -> list[list[bytes] | QuorumRecords]:
        """The values decided since the last call, by batches to seal: whole operations, each at most 8 MiB."""
        turn, self._turn = self._turn, []
        self._batch_size = 0
        return turn

    def skip(self, count: int, kraft_version: int) -> None:
        """The leader's core has written so many control records past all that is decided here; what they say."""
        assert not self._turn, "offsets that are decided are not the log's yet"
        self._stamp.next_offset += count
        self.delta.skip(count, kraft_version)

    def commit(self, end_offset: int, leader_epoch: int, timestamp_ms: int) -> Sequence[Change]:
        """A batch of ours, appended at `timestamp_ms`, is committed up to `end_offset`; return what that changed.

        To be called for each batch in turn: what is forgotten goes by their times.
        """
        image = self.image
        image.transaction = None  # the first record of ours, if there was one open, has aborted it
        image.begin_batch(timestamp_ms)
        self.delta.commit(end_offset)
        while self._hashes and self._hashes[0][0] < end_offset:
            image.hash_agreed_offset, image.hash_agreed = self._hashes.popleft()
        return image.end_batch(end_offset, leader_epoch)

    # --- what it does of itself

    @property
    def deadline(self) -> Instant:
        """When `on_deadline` has something to do."""
        deadline = self._chores.deadline
        idle_until = self._wrote_at + IDLE_S
        if idle_until <= self._observed_until and idle_until < deadline:
            deadline = Instant(idle_until)
        if self.delta.hash != self._hash_told and self._hash_due < deadline:
            return self._hash_due
        return deadline

    def on_deadline(self, now: Instant, now_ms: int) -> None:
        """Do what is due, or a slice of it, and tell the image's hash; it is in the turn afterwards."""
        stamp = self._stamp
        stamp.now, stamp.now_ms = now, now_ms
        for piece in self._chores.pieces(self.delta):
            if piece.records:
                self._write_own(piece.records, piece.reason)
            if piece.then is not None:
                piece.then(stamp.next_offset - 1)
        if self.delta.hash != self._hash_told and now >= self._hash_due:
            self._tell_hash(now)
        if self._wrote_at + IDLE_S <= min(now, self._observed_until):
            self._write([NoOpRecord()], None)

    def note_observer(self, now: Instant) -> None:
        """Someone who is no voter follows the log: for a while, do not let it stand still (controller.md §1)."""
        self._observed_until = Instant(now + OBSERVED_S)

    def register_controllers(self, controllers: Iterable[RegisterControllerRecord], now: Instant, now_ms: int) -> None:
        """What nodes of the quorum say of themselves; written where the state says otherwise (controller.md §11)."""
        stamp = self._stamp
        stamp.now, stamp.now_ms = now, now_ms
        for record in controllers:
            row = self.delta.controllers.get(record.controller_id)
            if row is None or row.record != record:
                self._write_own([record], f"node {record.controller_id} said who it is")

    def _tell_hash(self, now: Instant) -> None:
        told, record_offset = self.delta.hash, self._stamp.next_offset
        record = image_hash_record(ImageHash(HASH_FORM, record_offset, told))
        self._write([record], None)
        self._hashes.append((record_offset, told))
        self._hash_told = told
        self._hash_due = Instant(now + HASH_INTERVAL_S)

    def _write_own(self, records: list[Record], reason: str) -> None:
        """An operation of the controller's own, in pieces where it is larger than one may be (controller.md §1)."""
        for start in range(0, len(records), RECORDS_MAX):
            part = records[start : start + RECORDS_MAX]
            self._write(part, _Mark(tags.Origin(len(part), reason=reason)))

    def _activate(self, now_ms: int) -> None:
        """First records (records.md §5): a new cluster's level, or the end of what the last leader left open."""
        self._hash_due = Instant(self._stamp.now + HASH_INTERVAL_S)
        if self.image.transaction is not None:
            record = AbortTransactionRecord("Controller failover")
            self._write_own([record], "the last leader left a transaction open")
        if self.delta.features.get(METADATA_VERSION) is None:
            self._write_own([FeatureLevelRecord(METADATA_VERSION, METADATA_LEVEL)], "a new cluster's first record")


def _encode_all(records: Sequence[Record]) -> None:
    """Raises RefusedError for what could not be written."""
    try:
        for record in records:
            codec.encode(record)
    except CodecError as exc:
        raise RefusedError("UNKNOWN_SERVER_ERROR", f"decided what does not fit: {exc}", kafka=-1) from exc


def _too_many(count: int) -> RefusedError:
    return refusals.policy_violation(f"{count} records in one operation, {RECORDS_MAX} are allowed", limit=RECORDS_MAX)


def without_request(origin: Origin) -> Origin:
    """For all but the last of several operations that one request comes to: only with that one it is done."""
    return msgspec.structs.replace(origin, request="")


def command_crc(command: object) -> int:
    """CRC-32C of a command, without what all commands share: the same request id must bring the same one.

    A password is left out too: it would tell whoever reads the log which guesses are wrong.
    """
    if isinstance(command, SetScramCredential):
        command = msgspec.structs.replace(command, password="")
    checksum: int = google_crc32c.value(type(command).__name__.encode() + msgspec.msgpack.encode(command))
    return checksum
