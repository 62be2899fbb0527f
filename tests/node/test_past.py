"""HISTORY, BLAME, DIFF, reads with `at=`, FETCH and WATCH from the kept log: at a node, and never in its way."""

import time
from collections.abc import Sequence
from contextlib import aclosing

import attrs
import pytest
import trio
import trio.testing

from tests.node.cluster import Cluster
from tests.node.test_node_service import Client, make_client
from yakt.errors import RefusedError
from yakt.metadata.answers import Answer, Row
from yakt.node import asks, history, past, watch
from yakt.storage.store import LogLimits

SMALL = LogLimits(segment_bytes=4096, retention_bytes=4096)


def shown(rows: Sequence[Row], *keys: str) -> list[str]:
    return [f"{row.kind} " + " ".join(str(row.pairs[key]) for key in keys if key in row.pairs) for row in rows]


async def answer(client: Client, line: str) -> Answer:
    result = await client.ask(line)
    assert isinstance(result, Answer), result
    return result


async def refused(client: Client, line: str) -> RefusedError:
    result = await client.ask(line)
    assert isinstance(result, RefusedError), result
    return result


async def say(client: Client, line: str) -> list[str]:
    return [str(row.pairs["say"]) for row in (await answer(client, f"{line} say=true")).rows]


@attrs.define(eq=False)
class Living(Client):
    """A client whose node's tasks end with it."""

    life: trio.CancelScope


async def live(cluster: Cluster, nursery: trio.Nursery) -> Living:
    [node] = cluster.up()

    async def run(task_status: trio.TaskStatus[Living]) -> None:
        async with trio.open_nursery() as own:
            made = make_client(cluster, node, own)
            task_status.started(Living(made.node, made.service, made.snapshots, own.cancel_scope))
            await trio.sleep_forever()

    living: Living = await nursery.start(run)
    return living


@pytest.fixture
async def client(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> Living:
    client = await live(Cluster(size=1, trio_clock=True), nursery)
    for number in (1, 2):
        await answer(client, f"BROKER REGISTER {number} host=b{number} port=9092 session=600000")
        await answer(client, f"BROKER HEARTBEAT {number}")
    return client


async def restarted(client: Living, nursery: trio.Nursery) -> Living:
    """The same node after a kill: what it knew in memory is gone."""
    client.life.cancel()
    node = client.node
    node.cluster.kill(node)
    node.boot()
    return await live(node.cluster, nursery)


async def test_the_history_of_a_topic_deleted_and_made_again(client: Client) -> None:
    for line in (
        'TOPIC CREATE orders assignment=[[1,2],[2,1]] by=ann reason="the shop"',
        "CONFIG SET topic/orders retention.ms=5 request=r1",
        "CONFIG SET topic/other-things a=1",
        "TOPIC CREATE others",
        "BROKER FENCE 1",
        "PARTITION ADD orders count=3",
        "CONFIG DELETE topic/orders retention.ms",
        "CONFIG SET topic/orders retention.ms=6",
        "TOPIC DELETE orders by=bob",
        "TOPIC CREATE orders assignment=[[2]]",
    ):
        await client.ask(line)
    assert await say(client, "HISTORY topic/orders") == [
        "topic orders created",
        "orders:0 created on brokers 1, 2, led by broker 1",
        "orders:1 created on brokers 2, 1, led by broker 2",
        "topic/orders retention.ms is now 5",
        "orders:0 leader is now broker 2 (broker 1 fenced)",
        "orders:1 in-sync replicas are now 2",
        "orders:2 created on brokers 2, 1, led by broker 2",
        "topic/orders retention.ms is back to its default",
        "topic/orders retention.ms is now 6",
        "topic orders deleted",
        "topic orders created",
        "orders:0 created on broker 2, led by broker 2",
    ]
    found = await answer(client, "HISTORY topic/orders")
    assert (found.pairs["count"], found.pairs["since"]) == (12, 0)
    first, request, end = found.rows[0].pairs, found.rows[3].pairs, found.rows[9].pairs
    assert (first["by"], first["reason"]) == ("ann", "the shop")
    assert found.rows[1].pairs["by"] == "ann"
    assert (request["request"], "by" in request) == ("r1", False)
    assert (end["by"], end["deleted"], end["name"]) == ("bob", True, "orders")
    assert [row.pairs["offset"] for row in found.rows] == sorted(row.pairs["offset"] for row in found.rows)  # type: ignore[type-var]
    assert all(row.pairs["time"] == client.node.wall_ms() for row in found.rows), "one moment of this clock"

    # One of its partitions, whose end goes with its topic's.
    assert await say(client, "HISTORY orders:0") == [
        "orders:0 created on brokers 1, 2, led by broker 1",
        "orders:0 leader is now broker 2 (broker 1 fenced)",
        "orders:0 deleted",
        "orders:0 created on broker 2, led by broker 2",
    ]
    assert (await say(client, "HISTORY orders:1"))[-1] == "orders:1 deleted"
    assert await say(client, "BLAME orders:1") == ["orders:1 deleted"]
    assert await say(client, "BLAME topic/orders") == ["orders:0 created on broker 2, led by broker 2"]
    [last] = (await answer(client, f"BLAME topic/orders at={int(str(end['offset'])) + 1}")).rows
    assert last.pairs == end


async def test_the_history_of_a_broker_has_its_configs(client: Client) -> None:
    for line in (
        "CONFIG SET broker/1 message.max.bytes=7",
        "CONFIG SET broker/ message.max.bytes=8",
        "BROKER FENCE 1",
        "BROKER CHANGE 1 host=elsewhere",
        "BROKER UNREGISTER 1",
        "BROKER REGISTER 1 host=again port=1",
    ):
        await answer(client, line)
    assert await say(client, "HISTORY broker/1") == [
        "broker 1 registered at b1:9092, fenced until its first heartbeat",
        "broker 1 is alive",
        "broker/1 message.max.bytes is now 7",
        "broker 1 fenced",
        "broker 1 is now at elsewhere:9092, rack none",
        "broker 1 unregistered",
        "broker 1 registered at again:1, fenced until its first heartbeat",
    ]
    assert await say(client, "HISTORY broker/") == ["broker/ message.max.bytes is now 8"]
    assert await say(client, "HISTORY group/g") == []
    assert (await refused(client, "HISTORY broker/7")).code == "UNKNOWN_BROKER"
    assert (await refused(client, "HISTORY topic/none")).code == "UNKNOWN_TOPIC"
    assert (await refused(client, "BLAME none:0")).code == "UNKNOWN_TOPIC"


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_pages_of_a_history_are_the_whole(client: Client, limit: int) -> None:
    await answer(client, "TOPIC CREATE t partitions=3")
    for number in range(4):
        await answer(client, f"CONFIG SET topic/t retention.ms={number}")
    whole = (await answer(client, "HISTORY topic/t")).rows
    pages: list[Row] = []
    after = ""
    while True:
        page = await answer(client, f"HISTORY topic/t limit={limit}{after}")
        assert len(page.rows) <= limit
        pages += page.rows
        if "next" not in page.pairs:
            break
        after = f" after={page.pairs['next']}"
    assert pages == list(whole)
    assert (await refused(client, "HISTORY topic/t after=x")).details == {"key": "after"}


async def test_the_difference_of_two_states(client: Living, nursery: trio.Nursery) -> None:
    await answer(client, "TOPIC CREATE kept partitions=2")
    await answer(client, "TOPIC CREATE gone partitions=2")
    start = client.service.applied_end_offset
    for line in (
        "TOPIC DELETE gone",
        "TOPIC CREATE made partitions=1",
        "CONFIG SET topic/kept retention.ms=1",
        "CONFIG SET topic/made retention.ms=1",
        "CONFIG DELETE topic/made retention.ms",
        "BROKER FENCE 1",
        "BROKER HEARTBEAT 1",
        "PARTITION ADD kept count=3",
    ):
        await answer(client, line)
    end = client.service.applied_end_offset
    await answer(client, "TOPIC DELETE kept")
    for again in (False, True):
        if again:
            client = await restarted(client, nursery)
        found = await answer(client, f"DIFF {start} {end}")
        names = shown(found.rows, "name", "topic", "partition", "entity", "key", "deleted")
        assert names[0] == "topic gone True"
        assert sorted(names[1:]) == sorted(
            ["topic made", "partition made 0", "config topic/kept retention.ms", "topic kept", "partition kept 2"]
            + [name for name in ("partition kept 0", "partition kept 1") if name in names]
        )
        assert found.pairs == {"count": len(found.rows), "offset": end}
        pages: list[Row] = []
        after = ""
        while True:
            page = await answer(client, f"DIFF {start} {end} limit=2{after}")
            pages += page.rows
            if "next" not in page.pairs:
                break
            after = f" after={page.pairs['next']}"
        assert pages == list(found.rows)
    assert (await answer(client, f"DIFF {end} {end}")).rows == []
    backwards = await refused(client, f"DIFF {end} {start}")
    assert (backwards.details, backwards.hint) == ({"key": "to"}, f"DIFF {start} {end}")
    assert (await refused(client, f"DIFF {start} 99999")).details == {"key": "to"}
    assert (await refused(client, f"DIFF {start} {end} at={end}")).details == {"key": "at"}


async def test_the_state_at_every_offset_is_what_it_was(client: Living, nursery: trio.Nursery) -> None:
    lines = ("BROKER LIST full=true", "TOPIC LIST full=true", "PARTITION LIST full=true", "CONFIG GET topic/t", "VIEW")
    was: dict[int, list[str]] = {}
    for number, line in enumerate(
        (
            "TOPIC CREATE t partitions=2",
            "CONFIG SET topic/t retention.ms=1",
            "BROKER FENCE 1",
            "TOPIC CREATE u partitions=2",
            "BROKER HEARTBEAT 1",
            "TOPIC DELETE u",
            "PARTITION ADD t count=4",
            "CONFIG SET topic/t retention.ms=2",
        )
    ):
        await answer(client, line)
        was[client.service.applied_end_offset] = await client.say(*lines)
        if number % 3 == 2:
            await answer(client, "SNAPSHOT CREATE wait=true")
    offsets = list(was)
    client = await restarted(client, nursery)
    for offset in (*offsets, *reversed(offsets), *offsets[::2]):
        found = await client.say(*(f"{line} at={offset}" for line in lines))
        if any(snapshot.offset == offset for snapshot, _ in client.node.store.snapshots):
            continue  # there, what a snapshot had counts as changed at its end
        assert [_bare(reply) for reply in found] == [_bare(reply) for reply in was[offset]]
    assert (await refused(client, f"TOPIC LIST at={client.service.applied_end_offset + 1}")).details == {"key": "at"}


def _bare(reply: str) -> list[list[str]]:
    """Without offsets of changes: out of a snapshot they are its end."""
    return [
        [word for word in line.split() if not word.startswith(("offset=", "reason="))] for line in reply.splitlines()
    ]


async def test_fetch_from_before_the_journal_says_what_changed_not_compacted(
    client: Living, nursery: trio.Nursery
) -> None:
    await answer(client, "TOPIC CREATE t partitions=2")
    start = client.service.applied_end_offset
    await answer(client, "CONFIG SET topic/t retention.ms=1")
    await answer(client, "TOPIC CREATE u partitions=2")
    await answer(client, "SNAPSHOT CREATE wait=true")
    await answer(client, "TOPIC DELETE u")
    before = {line: await client.text(line) for line in (f"FETCH since={start}", f"VIEW since={start}")}
    middle = int(str((await answer(client, f"FETCH since={start} limit=1")).pairs["next"]))
    client = await restarted(client, nursery)
    assert start < client.node.driver.loader.image.journal.start_offset
    end = client.service.applied_end_offset

    def same(reply: str) -> str:
        return reply.replace(f"next={end}", "next=").replace(f"high_watermark={end}", "high_watermark=")

    for line, reply in before.items():
        words = reply.splitlines()
        assert (await client.text(line)).splitlines()[:-1] == words[:-1]
    page = await answer(client, f"FETCH since={start} limit=1")
    assert (len(page.rows), page.pairs["next"]) == (1, middle)
    assert same(await client.text(f"FETCH since={start} wait=1000")).endswith("OK next= high_watermark=\n")
    assert (await answer(client, f"FETCH since={start} at={middle}")).rows == page.rows
    ahead = await answer(client, f"FETCH since={middle + 1} at={middle}")
    assert (ahead.pairs["snapshot"], ahead.pairs["reason"]) == (True, "ahead")


async def test_a_watch_from_long_ago_hears_the_log_in_chunks(
    client: Living, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHUNK_CHANGES", 3)
    for number in range(20):
        await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
    await answer(client, "SNAPSHOT CREATE wait=true")
    client = await restarted(client, nursery)
    listen = client.service.watch
    async with aclosing(listen(2, "config", None)) as one, aclosing(listen(9, "config", None)) as other:
        values = [(await anext(one)).pairs["value"]]
        others = [(await anext(other)).offset]
        for _ in range(19):
            values.append((await anext(one)).pairs["value"])
            if len(others) < 10:
                others.append((await anext(other)).offset)
    assert values == [str(number) for number in range(20)]
    assert others == list(range(9, 19))


# --- below what is kept -----------------------------------------------------------------------------------------------


async def test_what_lies_below_the_kept_log_is_compacted(nursery: trio.Nursery, autojump_clock: object) -> None:
    client = await live(Cluster(size=1, trio_clock=True, limits=SMALL), nursery)
    node = client.node
    await answer(client, "BROKER REGISTER 1 host=h port=1 session=600000")
    await answer(client, "BROKER HEARTBEAT 1")
    await answer(client, "TOPIC CREATE old")
    for _ in range(2):
        for number in range(40):
            await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
        await answer(client, "SNAPSHOT CREATE wait=true")
    node.store.clean(node.wall_ms())
    oldest = node.store.start_offset
    assert oldest > 10
    for line in (f"TOPIC LIST at={oldest - 1}", f"DIFF 1 {oldest}", "HISTORY topic/old after=3", "BLAME topic/old"):
        refusal = await refused(client, line)
        assert (refusal.code, refusal.details) == ("OFFSET_COMPACTED", {"oldest": oldest}), line
    told = await answer(client, "HISTORY topic/old")
    assert (list(told.rows), told.pairs["since"]) == ([], oldest)
    assert (await answer(client, f"TOPIC LIST at={oldest}")).rows[0].pairs["name"] == "old"
    client = await restarted(client, nursery)
    whole = await answer(client, "FETCH since=3")
    assert (whole.pairs["snapshot"], whole.pairs["reason"]) == (True, "compacted")
    assert "snapshot" not in (await answer(client, f"FETCH since={oldest}")).pairs


async def test_a_log_trimmed_under_a_reader_is_compacted_and_no_fault(
    nursery: trio.Nursery, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SLICE_S", 0.0)
    monkeypatch.setattr(history, "READ_BYTES", 1)
    client = await live(Cluster(size=1, trio_clock=True, limits=SMALL), nursery)
    node = client.node
    for _ in range(2):
        for number in range(200):
            await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
        await answer(client, "SNAPSHOT CREATE wait=true")
    results: list[object] = []

    async def read() -> None:
        results.append(await client.ask("HISTORY client-metrics/a"))

    nursery.start_soon(read)
    for _ in range(8):
        await trio.lowlevel.checkpoint()
    assert not results
    node.store.clean(node.wall_ms())
    await trio.testing.wait_all_tasks_blocked()
    [result] = results
    assert isinstance(result, RefusedError)
    assert result.code == "OFFSET_COMPACTED"


# --- in nobody's way --------------------------------------------------------------------------------------------------


@attrs.define
class Gaps:
    """The longest that others had the thread in one go, in seconds of its own CPU: a busy machine does not count."""

    longest: float = 0.0
    turns: int = 0

    async def measure(self) -> None:
        at = time.thread_time()
        while True:
            await trio.lowlevel.checkpoint()
            now = time.thread_time()
            self.longest = max(self.longest, now - at)
            self.turns += 1
            at = now


async def test_a_difference_over_a_large_log_holds_up_no_commit(client: Living, nursery: trio.Nursery) -> None:
    """The whole log is replayed beside writes: whoever is ready gets a turn within some milliseconds of work."""
    node = client.node
    for batch in range(6):
        node.write(*(f"CONFIG SET client-metrics/m{batch}-{number % 900} metrics={number}" for number in range(5000)))
    start = 5
    client = await restarted(client, nursery)
    await answer(client, "SNAPSHOT CREATE wait=true")
    client.node.driver.loader.image.journal.begin_at(client.service.applied_end_offset)
    end = client.service.applied_end_offset
    assert end > 30_000
    gaps, commits = Gaps(), 0
    found: list[Answer] = []

    async def compare() -> None:
        found.append(await answer(client, f"DIFF {start} {end - 1} timeout=600000"))

    async with trio.open_nursery() as reading:
        reading.start_soon(compare)
        await trio.lowlevel.checkpoint()
        reading.start_soon(gaps.measure)
        while not found:
            await answer(client, "CONFIG SET client-metrics/beside metrics=1")
            commits += 1
            await trio.lowlevel.checkpoint()
        reading.cancel_scope.cancel()
    assert found[0].pairs["count"] == 1000
    assert "next" in found[0].pairs
    assert commits > 30
    assert gaps.longest < 0.05, f"{gaps.longest * 1000:.0f} ms in one go, {gaps.turns} turns"


async def test_readers_of_the_past_take_turns(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SLICE_S", 0.0)
    for number in range(300):
        client.node.write(f"CONFIG SET client-metrics/m metrics={number}")
    under_way, most = 0, 0
    replay = history.History._replay

    def counted(self: history.History, *args: object, **options: object) -> object:
        async def steps() -> object:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                async for step in replay(self, *args, **options):  # type: ignore[arg-type]
                    yield step
            finally:
                under_way -= 1

        return steps()

    monkeypatch.setattr(history.History, "_replay", counted)
    async with trio.open_nursery() as reading:
        for number in range(4):
            reading.start_soon(client.ask, f"CONFIG GET client-metrics/m at={100 + number}")
            reading.start_soon(client.ask, "HISTORY client-metrics/m")
    assert most == 1


async def test_the_scratch_image_is_let_go_when_nobody_asks(
    client: Living, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "IDLE_S", 0.1)
    past = client.service.here.history
    nursery.start_soon(past.run)
    await answer(client, "CONFIG SET client-metrics/m metrics=1")
    await answer(client, f"CONFIG GET client-metrics/m at={client.service.applied_end_offset - 1}")
    assert past._kept is not None
    await trio.sleep(0.2)
    assert past._kept is None


async def test_the_history_of_a_user(client: Client) -> None:
    for line in (
        "SCRAM SET alice password=p by=ann",
        "SCRAM SET bob password=p",
        "QUOTA SET user=alice client-id= producer_byte_rate=7",
        "QUOTA SET user= producer_byte_rate=8",
        "ACL ADD topic/t principal=User:alice operation=READ",
        "ACL ADD topic/t principal=User:bob operation=READ",
        "ACL DELETE topic/t by=eve",
        "QUOTA DELETE user=alice client-id=",
        "SCRAM DELETE alice",
    ):
        await client.ask(line)
    assert await say(client, "HISTORY user/alice") == [
        "user alice may log in by SCRAM-SHA-256",
        "producer_byte_rate of user alice and any client-id is now 7",
        "User:alice may READ topic/t from any host",
        "User:alice may READ topic/t from any host, no longer",
        "producer_byte_rate of user alice and any client-id has no limit",
        "user alice may no longer log in by SCRAM-SHA-256",
    ]
    rows = (await answer(client, "HISTORY user/alice")).rows
    assert (rows[0].pairs["by"], rows[3].pairs["by"]) == ("ann", "eve")
    assert await say(client, "HISTORY user/") == ["producer_byte_rate of any user is now 8"]
    assert await say(client, "BLAME user/bob") == ["User:bob may READ topic/t from any host, no longer"]
    [row] = (await answer(client, "HISTORY client-id/ limit=1")).rows
    assert row.pairs["user"] == "alice"
    end = (await answer(client, "SCRAM LIST")).pairs["offset"]
    differing = (await answer(client, f"DIFF 6 {end}")).rows
    assert [(row.kind, row.pairs["user"]) for row in differing if row.kind in ("quota", "scram", "acl")] == [
        ("scram", "bob"),
        ("quota", ""),
    ]


# --- watchers that are slow -------------------------------------------------------------------------------------------


async def test_a_watcher_behind_the_journal_goes_on_through_the_log(client: Living) -> None:
    async with aclosing(client.service.watch(None, "config", None)) as events:
        heard: list[object] = []

        async def listen(count: int) -> None:
            for _ in range(count):
                heard.append((await anext(events)).pairs["value"])

        async with trio.open_nursery() as listening:
            listening.start_soon(listen, 1)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(10):
                await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
        client.node.driver.loader.image.journal.begin_at(client.service.applied_end_offset - 2)
        await answer(client, "CONFIG SET client-metrics/a metrics=10")
        await listen(10)
    assert heard == [str(number) for number in range(11)]


async def test_a_watcher_behind_the_kept_log_is_told_where_it_was_lost(
    nursery: trio.Nursery, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SLICE_CHANGES", 5)
    client = await live(Cluster(size=1, trio_clock=True, limits=SMALL), nursery)
    async with aclosing(client.service.watch(2, "config", None)) as events:
        for _ in range(2):
            for number in range(40):
                await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
            await answer(client, "SNAPSHOT CREATE wait=true")
        first = await anext(events)
        end = client.service.applied_end_offset
        client.node.driver.loader.image.journal.begin_at(end)
        client.node.store.clean(client.node.wall_ms())
        last, lost = first.offset, None
        try:
            async for event in events:
                last = event.offset
        except RefusedError as refusal:
            lost = refusal
    assert lost is not None
    assert (lost.code, lost.details) == ("LOST", {"since": last + 1})


async def test_a_log_trimmed_under_log_is_compacted_and_no_fault(
    nursery: trio.Nursery, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks, "LOG_READ_BYTES", 1)
    client = await live(Cluster(size=1, trio_clock=True, limits=SMALL), nursery)
    for _ in range(2):
        for number in range(200):
            await answer(client, f"CONFIG SET client-metrics/a metrics={number}")
        await answer(client, "SNAPSHOT CREATE wait=true")
    results: list[object] = []

    async def read() -> None:
        results.append(await client.ask("LOG from=0 limit=10000"))

    nursery.start_soon(read)
    for _ in range(20):
        await trio.lowlevel.checkpoint()
    assert not results
    client.node.store.clean(client.node.wall_ms())
    await trio.testing.wait_all_tasks_blocked()
    [result] = results
    assert isinstance(result, RefusedError)
    assert result.code == "OFFSET_COMPACTED"


@pytest.mark.parametrize("start", [0, 1, 7, 60, 149])
async def test_log_pages_begin_and_end_within_batches(client: Client, start: int) -> None:
    client.node.write(*(f"CONFIG SET client-metrics/m metrics={number}" for number in range(150)))
    end = client.service.applied_end_offset
    rows: list[Row] = []
    at: object = start
    while at is not None:
        page = await answer(client, f"LOG from={at} limit=40")
        assert len(page.rows) <= 40
        rows += page.rows
        at = page.pairs.get("next")
    assert [row.pairs["offset"] for row in rows] == list(range(start, end))


def test_a_page_of_a_history_is_not_cut_within_an_offset() -> None:
    rows = [Row("partition", {"offset": offset}) for offset in (3, 7, 7, 7, 9)]
    assert [past._end_of_page(rows, limit) for limit in (1, 2, 3, 4, 5, 6)] == [1, 4, 4, 4, 5, 5]
