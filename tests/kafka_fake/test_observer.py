"""The strict broker tells wrong answers apart as real ones did (raft.md §6, traps 32, 37, 38): each of the table."""

from collections.abc import Mapping

import google_crc32c
import msgspec
import pytest

from tests.kafka_fake.loader import Loader
from tests.kafka_fake.observer import Observer
from tests.kafka_fake.verdicts import Diary, DiedError
from yakt.address import Address
from yakt.batch import Endpoint as VoterEndpoint
from yakt.batch import LeaderChange, RecordBatch, SnapshotFooter, SnapshotHeader, Voter, Voters
from yakt.ids import Epoch, NodeId, Offset, Uuid
from yakt.kafka.messages import fetch as wire
from yakt.kafka.observers import METADATA_TOPIC_ID
from yakt.metadata import records as r
from yakt.metadata.codec import encode as encode_record
from yakt.metadata.records import Record
from yakt.wire.batch import encode, seal, seal_control

DIRECTORY = Uuid(bytes(15) + b"\x07")
TOPIC, OTHER = Uuid(b"\x01" * 16), Uuid(b"\x02" * 16)
STATIC = {1: Address("127.0.0.1", 7401), 2: Address("127.0.0.1", 7402), 3: Address("127.0.0.1", 7403)}
LEVEL = r.FeatureLevelRecord("metadata.version", 21)


def data(base: int, epoch: int, *records: Record) -> RecordBatch:
    crc, body = seal([encode_record(record) for record in records or (r.NoOpRecord(),)], 1)
    return RecordBatch(Offset(base), Epoch(epoch), len(records) or 1, crc, body)


def control(base: int, epoch: int, *records: object) -> RecordBatch:
    found = records or (LeaderChange(NodeId(1), (NodeId(1),), (NodeId(1),)),)
    crc, body = seal_control(found, 1)  # type: ignore[arg-type]
    return RecordBatch(Offset(base), Epoch(epoch), len(found), crc, body, found)  # type: ignore[arg-type]


def answer(
    *batches: RecordBatch,
    epoch: int = 5,
    leader: int = 1,
    error: int = 0,
    hw: int = -1,
    diverging: tuple[int, int] = (-1, -1),
    snapshot: tuple[int, int] = (-1, -1),
    endpoints: tuple[int, ...] = (1,),
    raw: bytes | None = None,
) -> wire.FetchResponse:
    """`diverging`, `snapshot`: epoch, then offset."""
    partition = wire.FetchPartitionResult(
        error_code=error,
        high_watermark=hw,
        current_leader=wire.FetchLeader(leader, epoch),
        diverging_epoch=wire.FetchDivergingEpoch(*diverging),
        snapshot_id=wire.FetchSnapshotReference(snapshot[1], snapshot[0]),
        records=b"".join(map(encode, batches)) if raw is None else raw,
    )
    return wire.FetchResponse(
        responses=(wire.FetchTopicResult(topic_id=METADATA_TOPIC_ID, partitions=(partition,)),),
        node_endpoints=tuple(wire.FetchNodeEndpoint(one, "127.0.0.1", 7400 + one) for one in endpoints),
    )


def observer(*, epoch: int = 0, static: Mapping[int, Address] = STATIC) -> Observer:
    return Observer(11, "cluster", DIRECTORY, Loader(11, Diary()), static=static, epoch=epoch)


def following(*, hw: int = 3) -> Observer:
    """Of leader 1 in epoch 5, with offsets 0 to 4 in epochs 3 and 5."""
    one = observer()
    assert one.on_fetch(answer(epoch=5, error=74))
    assert one.on_fetch(answer(control(0, 3), data(1, 3, LEVEL), control(2, 5), data(3, 5), data(4, 5), hw=hw))
    assert one.diary.verdict == "lives"
    return one


# --- a broker's first questions


def test_it_finds_the_leader_and_follows() -> None:
    one = observer()
    first = one.request()
    assert isinstance(first, wire.FetchRequest)
    [[asked]] = [topic.partitions for topic in first.topics]
    assert (asked.current_leader_epoch, asked.fetch_offset, asked.last_fetched_epoch) == (0, 0, 0)
    assert one.on_fetch(answer(epoch=5, error=74))
    assert (one.epoch, one.leader_id, one.controller) == (5, 1, STATIC[1])
    assert one.on_fetch(answer(control(0, 5), data(1, 5, LEVEL), hw=-1))
    assert (one.end_offset, one.high_watermark, one.loader.is_published) == (2, -1, False)
    assert one.on_fetch(answer(hw=2))
    assert (one.high_watermark, one.loader.end_offset, one.loader.is_published) == (2, 2, True)
    assert one.diary.verdict == "lives"


def test_the_answer_that_names_the_leader_of_the_same_epoch_is_used() -> None:
    one = observer(epoch=5)
    assert one.on_fetch(answer(control(0, 5), epoch=5))
    assert (one.leader_id, one.end_offset) == (1, 1)


def test_without_static_voters_the_log_must_name_the_controller() -> None:
    one = observer(static={})
    assert one.on_fetch(answer(epoch=5, error=74))
    assert one.leader_address == STATIC[1]
    assert one.controller is None  # trap 1: it fetches happily and never registers
    voter = Voter(NodeId(1), DIRECTORY, (VoterEndpoint("CONTROLLER", "127.0.0.1", 7401),))
    assert one.on_fetch(answer(control(0, 5, Voters((voter,)))))
    assert one.controller == STATIC[1]
    assert one.on_fetch(answer(epoch=6, error=74))
    assert one.on_fetch(answer(diverging=(4, 0), epoch=6))
    assert one.controller is None  # truncated: undone


# --- answers that it retries


@pytest.mark.parametrize(
    ("wrong", "handled"),
    [
        (wire.FetchResponse(error_code=8), False),
        (wire.FetchResponse(error_code=42), False),
        (answer(error=8), False),
        (answer(error=98), False),
        (answer(error=-1), False),
        (answer(error=6), True),
        (answer(error=6, leader=-1), True),
        (answer(error=74, leader=-1), True),
    ],
)
def test_retried(wrong: wire.FetchResponse, handled: bool) -> None:
    one = following()
    assert one.on_fetch(wrong) is handled
    assert (one.leader_id, one.diary.verdict) == (1, "lives")


def test_a_higher_epoch_without_a_leader_is_kept() -> None:
    one = following()
    assert one.on_fetch(answer(epoch=7, leader=-1, error=6))
    assert (one.epoch, one.leader_id) == (7, None)
    assert one.on_fetch(answer(epoch=7, leader=2, error=6, endpoints=(2,)))
    assert one.leader_id == 2


# --- answers that leave it standing


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (answer(epoch=4), "an answer of epoch 4"),
        (answer(error=75), "an answer of epoch 5, error 75"),
        (wire.FetchResponse(error_code=104), "error 104"),
        (wire.FetchResponse(), "an answer about another topic"),
        (wire.FetchResponse(responses=(wire.FetchTopicResult(topic="x"),)), "an answer about another topic"),
        (answer(snapshot=(3, -1)), "half a snapshot id"),
        (answer(snapshot=(-1, 3)), "half a snapshot id"),
        (answer(data(5, 6)), "a batch of epoch 6 in epoch 5"),
        (answer(raw=encode(data(5, 5))[:-1] + b"\x01"), "CorruptRecordException"),
        (
            answer(raw=encode(data(5, 5, r.NoOpRecord(), r.NoOpRecord()))[:20]),
            None,  # torn: cut silently
        ),
    ],
)
def test_standing(wrong: wire.FetchResponse, why: str | None) -> None:
    one = following()
    one.on_fetch(wrong)
    assert one.end_offset == 5
    assert one.diary.verdict.startswith("lives" if why is None else f"stands still: {why}")
    one.on_fetch(answer(data(5, 5), hw=6))
    assert (one.end_offset, one.diary.verdict) == (6, "lives")


def test_a_count_that_is_not_the_offsets() -> None:
    good = data(5, 5, r.NoOpRecord(), r.NoOpRecord())
    body = good.body[:2] + (2).to_bytes(4) + good.body[6:]  # lastOffsetDelta of three records
    wrong = msgspec.structs.replace(good, body=body, crc=google_crc32c.value(body))
    one = following()
    one.on_fetch(answer(wrong))
    assert one.diary.verdict == "stands still: the batch at 5 counts 2 records, its offsets 3"


def test_once_told_of_a_higher_epoch_it_hears_no_lower_one() -> None:
    """Trap 38: alive, for ever, until a leader of at least that epoch speaks."""
    one = following()
    assert one.on_fetch(answer(epoch=9, leader=-1, error=6))
    for _ in range(3):
        one.on_fetch(answer(data(5, 5), epoch=5))
    assert one.end_offset == 5
    assert one.diary.verdict.startswith("stands still: an answer of epoch 5")
    assert one.on_fetch(answer(epoch=9, leader=2, error=6, endpoints=(2,)))
    assert one.on_fetch(answer(control(5, 9), epoch=9, leader=2, endpoints=(2,)))
    assert (one.end_offset, one.diary.verdict) == (6, "lives")


# --- answers that it dies of


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (wire.FetchResponse(error_code=31), "ClusterAuthorizationException"),
        (answer(error=42), "invalid request"),
        (answer(error=6, leader=2, endpoints=(2,)), "leaders 1 and 2 of epoch 5"),
        (answer(error=74, leader=2, endpoints=(2,)), "leaders 1 and 2 of epoch 5"),
        (answer(epoch=6, leader=9, error=74, endpoints=()), "leader 9 without an endpoint"),
        (answer(epoch=6, leader=9, endpoints=(1, 2)), "leader 9 without an endpoint"),
        (answer(diverging=(3, 2)), "truncation to 2, below high watermark 3"),
        (answer(hw=2), "high watermark 2 after 3"),
        (answer(hw=0), "high watermark 0 after 3"),
        (answer(data(4, 5)), "UnexpectedAppendOffset"),
        (answer(data(0, 5)), "UnexpectedAppendOffset"),
    ],
)
def test_dying(wrong: wire.FetchResponse, why: str) -> None:
    one = following()
    with pytest.raises(DiedError, match=why):
        one.on_fetch(wrong)


def test_a_record_that_cannot_be_read() -> None:
    crc, body = seal([b"\x01\x63\x00\x00"], 1)
    one = following()
    with pytest.raises(DiedError, match="SerializationException"):
        one.on_fetch(answer(RecordBatch(Offset(5), Epoch(5), 1, crc, body), hw=6))


def test_data_while_it_follows_nobody() -> None:
    with pytest.raises(DiedError, match="follows nobody"):
        observer(epoch=5).on_fetch(answer(control(0, 5), leader=-1))


# --- what it does not see, and must not be


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (answer(data(7, 5), hw=3), "a gap: 7 after 5"),
        (answer(data(5, 4), hw=3), "epoch 4 after 5"),
        (answer(leader=2, endpoints=(2,), hw=3), "leaders 1 and 2 of epoch 5"),
        (answer(snapshot=(0, 0)), "the snapshot 0-0 is served"),
    ],
)
def test_not_noticed(wrong: wire.FetchResponse, what: str) -> None:
    one = following()
    one.on_fetch(wrong)
    assert one.diary.verdict == f"does not notice: {what}"


# --- truncation


@pytest.mark.parametrize(("diverging", "end"), [((5, 4), 4), ((5, 9), 5), ((4, 9), 2), ((3, 2), 2), ((9, 3), 3)])
def test_truncating(diverging: tuple[int, int], end: int) -> None:
    one = following(hw=2)
    assert one.on_fetch(answer(epoch=6, error=74))
    if diverging == (9, 3):  # of an epoch that it has not: to the end of the largest it has below
        end = 5
    assert one.on_fetch(answer(epoch=6, diverging=diverging))
    assert (one.end_offset, one.diary.verdict) == (end, "lives")
    assert one.on_fetch(answer(control(end, 6), epoch=6, hw=2))


# --- snapshots


def snapshot_bytes(*records: Record) -> bytes:
    batches = [control(0, 5, SnapshotHeader(1)), data(1, 5, *records), control(1 + len(records), 5, SnapshotFooter())]
    return b"".join(map(encode, batches))


def piece(position: int, part: bytes, size: int, *, end: int = 40, error: int = 0) -> wire.FetchSnapshotResponse:
    found = wire.FetchSnapshotPartitionResult(
        0, error, wire.FetchedSnapshotId(end, 5), wire.FetchSnapshotLeader(1, 5), size, position, part
    )
    return wire.FetchSnapshotResponse(
        topics=(wire.FetchSnapshotTopicResult("__cluster_metadata", (found,)),),
        node_endpoints=(wire.FetchSnapshotNodeEndpoint(1, "127.0.0.1", 7401),),
    )


def test_a_snapshot_in_pieces() -> None:
    one = following()
    assert one.on_fetch(answer(snapshot=(5, 40)))
    content = snapshot_bytes(LEVEL, r.TopicRecord("orders", TOPIC))
    for at in range(0, len(content), 50):
        asked = one.request()
        assert isinstance(asked, wire.FetchSnapshotRequest)
        assert asked.topics[0].partitions[0].position == at
        assert one.on_fetch_snapshot(piece(at, content[at : at + 50], len(content)))
    assert (one.start_offset, one.end_offset, one.last_epoch, one.high_watermark) == (40, 40, 5, 40)
    assert one.loader.topics == {TOPIC: "orders"}
    assert one.on_fetch(answer(data(40, 5, r.RemoveTopicRecord(TOPIC)), hw=41))
    assert (one.loader.topics, one.diary.verdict) == ({}, "lives")


def test_a_snapshot_that_has_gone_is_asked_for_anew() -> None:
    one = following()
    one.on_fetch(answer(snapshot=(5, 40)))
    assert one.on_fetch_snapshot(piece(0, b"", 0, error=98))
    assert isinstance(one.request(), wire.FetchRequest)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (piece(1, b"x", 9), "position 1, asked for 0"),
        (piece(0, b"x", 9, end=41), "asked for"),
        (piece(0, b"x" * 10, 9), "10 bytes of a snapshot of 9"),
        (piece(0, b"x" * 9, 9), "a snapshot that is none"),
        (piece(0, encode(control(0, 5, SnapshotHeader(1))) + encode(data(1, 5)), 0), "bytes of a snapshot"),
    ],
)
def test_wrong_pieces(wrong: wire.FetchSnapshotResponse, why: str) -> None:
    one = following()
    one.on_fetch(answer(snapshot=(5, 40)))
    with pytest.raises(DiedError, match=why):
        one.on_fetch_snapshot(wrong)


def test_a_snapshot_without_its_footer() -> None:
    one = following()
    one.on_fetch(answer(snapshot=(5, 40)))
    content = encode(control(0, 5, SnapshotHeader(1))) + encode(data(1, 5, LEVEL))
    with pytest.raises(DiedError, match="without header or footer"):
        one.on_fetch_snapshot(piece(0, content, len(content)))


def test_a_snapshot_behind_its_log() -> None:
    one = following()
    one.on_fetch(answer(snapshot=(5, 4)))
    content = snapshot_bytes(LEVEL)
    with pytest.raises(DiedError, match="not ahead of its log"):
        one.on_fetch_snapshot(piece(0, content, len(content), end=4))


# --- records that do not fit (trap 37)

REGISTER = r.RegisterBrokerRecord(11, DIRECTORY, 6, (), (), None)


@pytest.mark.parametrize(
    ("records", "fault", "starts"),
    [
        ([r.BrokerRegistrationChangeRecord(12, 6)], "broker 12 is not known", True),
        ([REGISTER, r.BrokerRegistrationChangeRecord(11, 7)], "broker 11 is of epoch 6, not 7", True),
        ([r.UnregisterBrokerRecord(12, 6)], "broker 12 is not known", True),
        ([r.RemoveTopicRecord(OTHER)], "is not known", False),
        ([r.PartitionChangeRecord(0, OTHER)], "is not known", False),
        ([r.TopicRecord("a", TOPIC), r.PartitionChangeRecord(0, TOPIC)], "partition 0, which is not known", False),
        ([r.FeatureLevelRecord("metadata.version", 99)], "metadata.version 99 is not known", True),
        ([r.BeginTransactionRecord(), r.BeginTransactionRecord()], "a transaction within another", False),
        ([r.EndTransactionRecord()], "no transaction is open", False),
        ([r.AbortTransactionRecord()], "no transaction is open", False),
    ],
)
@pytest.mark.parametrize("is_running", [True, False])
def test_faults(records: list[Record], fault: str, starts: bool, is_running: bool) -> None:
    one = following(hw=5)
    one.loader.is_running = is_running
    assert one.on_fetch(answer(data(5, 5, *records), hw=5 + len(records)))
    assert one.diary.verdict.startswith("logs and goes on: metadata loading fault at ")
    assert fault in one.diary.verdict
    assert one.loader.is_published is (starts or is_running)
    assert one.on_fetch(answer(data(5 + len(records), 5), hw=6 + len(records)))


def test_a_transaction_that_fits() -> None:
    one = following(hw=5)
    records: list[Record] = [r.BeginTransactionRecord(), r.TopicRecord("a", TOPIC), r.AbortTransactionRecord()]
    records += [r.BeginTransactionRecord(), r.TopicRecord("b", OTHER), r.EndTransactionRecord()]
    assert one.on_fetch(answer(data(5, 5, *records), hw=11))
    assert (one.loader.topics, one.diary.verdict) == ({OTHER: "b"}, "lives")


def test_without_a_level_nothing_is_published() -> None:
    one = observer(epoch=5)
    one.on_fetch(answer(control(0, 5), data(1, 5, r.TopicRecord("a", TOPIC)), hw=2))
    assert not one.loader.is_published
