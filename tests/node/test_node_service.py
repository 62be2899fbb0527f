"""The service of one node under Trio: submissions in order, asks, the past, watches, snapshots."""

from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace

import attrs
import pytest
import trio
import trio.testing

from tests.node.cluster import CLUSTER_ID, Cluster, Node, parse
from yakt.errors import RefusedError
from yakt.ids import NodeId
from yakt.line import grammar
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked
from yakt.node.asks import Here, NodeInfo
from yakt.node.driver import Driver
from yakt.node.history import History
from yakt.node.leadership import Leadership
from yakt.node.node_service import NodeService
from yakt.node.service import WatchEvent
from yakt.node.snapshots import Snapshots
from yakt.node.timer import Timer
from yakt.storage.store import LogLimits

SETTINGS = SimpleNamespace(snapshot_bytes=1 << 30, snapshot_interval_ms=1 << 40)


@attrs.define(eq=False)
class Client:
    """A service and whoever asks it."""

    node: Node
    service: NodeService
    snapshots: Snapshots

    async def ask(self, line: str) -> Result:
        return await self.service.submit(parse(line))

    async def say(self, *lines: str) -> list[str]:
        """The replies to lines sent together, as text."""
        done = trio.Event()
        results: list[Result] = []

        class Together:
            asked: Sequence[Asked] = [parse(line) for line in lines]

            def answer(self, answers: Sequence[Result]) -> None:
                results.extend(answers)
                done.set()

        self.service.submit_nowait(Together())
        self.service.end_turn()
        with trio.fail_after(30):
            await done.wait()
        return [grammar.format_result(result).decode() for result in results]

    async def text(self, line: str) -> str:
        [reply] = await self.say(line)
        return reply


async def at_once(work: Callable[[], None]) -> None:
    """No thread: a virtual clock would run ahead of it."""
    work()


def make_client(cluster: Cluster, node: Node, nursery: trio.Nursery) -> Client:
    driver: Driver = node.driver
    here = Here(
        info=NodeInfo(node.id, CLUSTER_ID, "0"),
        driver=driver,
        store=node.store,
        history=History(node.store, driver.loader),
        snapshots=Snapshots(node.store, driver, SETTINGS, in_thread=at_once),
        leadership=Leadership(driver),
        explainer=node.explainer,
    )
    service = NodeService(here, nursery)
    timer = Timer(driver)
    driver.on_turn = timer.adjust
    nursery.start_soon(timer.run)
    return Client(node, service, here.snapshots)


@pytest.fixture
async def client(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> Client:
    cluster = Cluster(size=1, trio_clock=True, limits=LogLimits(segment_bytes=4096, retention_bytes=4096))
    [node] = cluster.up()
    return make_client(cluster, node, nursery)


@pytest.fixture
async def alone(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> Client:
    """One of three, that hears from nobody."""
    cluster = Cluster(size=3, trio_clock=True)
    cluster.mail.clear()
    return make_client(cluster, cluster.nodes[NodeId(1)], nursery)


async def test_what_is_sent_together_is_answered_in_order_and_reads_its_own_writes(client: Client) -> None:
    replies = await client.say(
        "CONFIG GET client-metrics/a",
        "CONFIG SET client-metrics/a metrics=1",
        "CONFIG GET client-metrics/a",
        "STATUS",
        "CONFIG DELETE client-metrics/a metrics",
        "CONFIG GET client-metrics/a",
    )
    assert [reply.split()[0] for reply in replies] == ["OK", "OK", "-", "OK", "OK", "OK"]
    assert 'value="1"' in replies[2]
    assert "node=1 role=leader leader=1" in replies[3]


async def test_a_thousand_asks_answered_at_once_are_no_deep_call(client: Client) -> None:
    lines = ["STATUS", "CONFIG GET client-metrics/a read=local"] * 512
    assert all(reply.startswith("OK") for reply in await client.say(*lines))


async def test_status_says_what_the_node_knows_of_itself(client: Client) -> None:
    answer = await client.ask("STATUS")
    assert isinstance(answer, Answer)
    assert list(answer.pairs)[:9] == [
        "node",
        "role",
        "leader",
        "epoch",
        "log_end",
        "high_watermark",
        "applied",
        "cluster",
        "uptime_ms",
    ]


async def test_health_asks_a_majority_and_says_what_is_missing(client: Client, alone: Client) -> None:
    assert await client.text("HEALTH") == "OK ready=true reasons=[]\n"
    before = trio.current_time()
    reply = await alone.text("HEALTH")
    assert reply.startswith("OK ready=false reasons=[")
    assert "no leader" in reply
    assert trio.current_time() - before <= 1.1


async def test_quorum_show_without_a_leader_says_what_this_node_knows(alone: Client) -> None:
    lines = (await alone.text("QUORUM SHOW")).splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("- voter id=2 role=null end=null lag=null last_fetch_ms=null")
    assert lines[3].startswith("OK leader=null")


async def test_the_log_shows_records_as_they_are_and_who_wrote_them(client: Client) -> None:
    await client.text('CONFIG SET client-metrics/a metrics=1 by=me reason="just so"')
    reply = await client.text("LOG from=0 limit=3")
    lines = reply.splitlines()
    assert "kind=LeaderChangeMessage" in lines[0]
    assert "kind=FeatureLevelRecord" in lines[1]
    assert "kind=ConfigRecord" in lines[2]
    assert 'by=me reason="just so"' in lines[2]
    assert lines[3].startswith("OK count=3")
    assert (await client.text("LOG from=2")).count("- record") >= 1


async def test_the_past_is_as_it_was(client: Client) -> None:
    first = await client.ask("CONFIG SET client-metrics/a metrics=1")
    await client.ask("CONFIG SET client-metrics/a metrics=2")
    assert isinstance(first, Answer)
    end = int(first.pairs["offset"]) + 1  # type: ignore[arg-type]
    assert await client.text(f"CONFIG GET client-metrics/a at={end}") == (
        f'- config entity=client-metrics/a key=metrics value="1"\nOK count=1 offset={end}\n'
    )
    assert (await client.text(f"CONFIG GET client-metrics/a at={end - 1}")).startswith("OK count=0")
    assert (await client.text("TOPIC LIST at=999")).startswith("ERR BAD_ARGUMENT")


async def test_below_what_is_kept_there_is_no_past(client: Client) -> None:
    for n in range(100):
        await client.ask(f"CONFIG SET client-metrics/k{n} metrics={n}")
    await client.text("SNAPSHOT CREATE wait=true")
    for n in range(100):
        await client.ask(f"CONFIG SET client-metrics/m{n} metrics={n}")
    assert (await client.text("SNAPSHOT CREATE wait=true")).startswith("OK id=")
    client.snapshots.trim()
    start = client.node.store.start_offset
    assert start > 0
    for line in ("LOG from=1", "TOPIC LIST at=1"):
        assert (await client.text(line)).startswith(f"ERR OFFSET_COMPACTED oldest={start}")
    with pytest.raises(RefusedError, match="no longer kept"):
        await anext(client.service.watch(1, None, None))
    events = await first_events(client.service.watch(start, None, None), 0)
    assert events == []


async def first_events(watch: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    """The first `count` events, and that there is none after them for a second."""
    events: list[WatchEvent] = []
    with trio.move_on_after(1):
        async for event in watch:
            events.append(event)
    assert len(events) == count, events
    return events


async def test_a_watch_from_the_past_hears_each_change_once(client: Client) -> None:
    for n in range(3):
        await client.ask(f"CONFIG SET client-metrics/a metrics={n}")
    events = await first_events(client.service.watch(0, "config", None), 3)
    assert [event.pairs["value"] for event in events] == ["0", "1", "2"]
    assert [event.offset for event in events] == sorted({event.offset for event in events})
    again = await first_events(client.service.watch(events[1].offset, "config", None), 2)
    assert again == events[1:]


async def test_a_watch_from_now_on_hears_only_what_comes(client: Client, nursery: trio.Nursery) -> None:
    await client.ask("CONFIG SET client-metrics/a metrics=before")
    heard: list[WatchEvent] = []

    async def listen() -> None:
        async for event in client.service.watch(None, None, "client-metrics/b*"):
            heard.append(event)

    nursery.start_soon(listen)
    await trio.testing.wait_all_tasks_blocked()
    await client.say("CONFIG SET client-metrics/a metrics=2", "CONFIG SET client-metrics/b metrics=3")
    await client.ask("CONFIG DELETE client-metrics/b metrics")
    await trio.testing.wait_all_tasks_blocked()
    assert [event.pairs.get("deleted", False) for event in heard] == [False, True]


async def test_a_watch_from_before_a_restart_hears_the_kept_log(nursery: trio.Nursery, autojump_clock: object) -> None:
    cluster = Cluster(size=1, trio_clock=True)
    [node] = cluster.up()
    async with trio.open_nursery() as first_life:
        client = make_client(cluster, node, first_life)
        for n in range(5):
            await client.ask(f"CONFIG SET client-metrics/a metrics={n}")
        await client.text("SNAPSHOT CREATE wait=true")
        await client.ask("CONFIG SET client-metrics/a metrics=5")
        first_life.cancel_scope.cancel()
    cluster.kill(node)
    node.boot()
    again = make_client(cluster, node, nursery)
    assert node.driver.loader.image.journal.start_offset > 2
    events = await first_events(again.service.watch(2, "config", None), 6)
    assert [event.pairs["value"] for event in events] == ["0", "1", "2", "3", "4", "5"]


async def test_fetch_waits_for_a_change(client: Client, nursery: trio.Nursery) -> None:
    answer = await client.ask("CONFIG SET client-metrics/a metrics=1")
    assert isinstance(answer, Answer)
    since = int(answer.pairs["offset"]) + 1  # type: ignore[arg-type]
    replies: list[str] = []

    async def fetch() -> None:
        replies.append(await client.text(f"FETCH since={since} wait=4000"))

    nursery.start_soon(fetch)
    await trio.testing.wait_all_tasks_blocked()
    assert replies == []
    await client.ask("CONFIG SET client-metrics/b metrics=1")
    await trio.testing.wait_all_tasks_blocked()
    assert len(replies) == 1
    assert "entity=client-metrics/b" in replies[0]


async def test_fetch_that_waits_in_vain_says_nothing_is_new(client: Client) -> None:
    answer = await client.ask("STATUS")
    assert isinstance(answer, Answer)
    reply = await client.text(f"FETCH since={answer.pairs['applied']} wait=300")
    assert reply.startswith("OK next=")


async def test_min_waits_until_that_record_is_applied(client: Client) -> None:
    write = await client.ask("CONFIG SET client-metrics/a metrics=1")
    assert isinstance(write, Answer)
    assert (await client.text(f"CONFIG GET client-metrics/a min={write.pairs['offset']}")).startswith("- config")
    reply = await client.text("CONFIG GET client-metrics/a min=5000 timeout=200")
    assert reply.startswith("ERR TIMEOUT")
    assert "applied=no" in reply


async def test_snapshots_are_taken_listed_and_verified(client: Client) -> None:
    await client.ask("CONFIG SET client-metrics/a metrics=1")
    taken = await client.text("SNAPSHOT CREATE wait=true")
    assert taken.startswith("OK id=")
    listed = await client.text("SNAPSHOT LIST")
    assert listed.startswith("- snapshot" + taken.removeprefix("OK").rstrip("\n"))
    name = taken.split()[1].removeprefix("id=")
    assert await client.text(f"SNAPSHOT VERIFY {name}") == taken
    assert (await client.text("SNAPSHOT VERIFY 77")).startswith("ERR BAD_ARGUMENT")
    file = f"__cluster_metadata-0/{name}.checkpoint"
    client.node.files.flip(file, 90)
    assert (await client.text(f"SNAPSHOT VERIFY {name}")).startswith("ERR CORRUPT_SNAPSHOT")


async def test_a_snapshot_that_is_not_waited_for_is_the_one_promised(client: Client, nursery: trio.Nursery) -> None:
    await client.ask("CONFIG SET client-metrics/a metrics=1")
    promised = await client.text("SNAPSHOT CREATE")
    assert promised.startswith("OK id=")
    assert promised.endswith(" bytes=null records=null\n")
    await client.ask("CONFIG SET client-metrics/b metrics=1")
    assert await client.text("SNAPSHOT CREATE") == promised, "it is about to be taken"
    nursery.start_soon(client.snapshots.run)
    await trio.sleep(2)
    listed = await client.text("SNAPSHOT LIST")
    name = promised.split()[1]
    assert listed.startswith(f"- snapshot {name} ")
    assert listed.count("- snapshot") == 1
    assert (await client.text(f"SNAPSHOT VERIFY {name.removeprefix('id=')}")).startswith("OK")
    await client.ask("CONFIG SET client-metrics/c metrics=1")
    taken = await client.text("SNAPSHOT CREATE wait=true")
    assert await client.text("SNAPSHOT CREATE") == taken, "it is there"


async def test_no_snapshot_before_the_first_commit(alone: Client, nursery: trio.Nursery) -> None:
    nursery.start_soon(alone.snapshots.run)
    assert (await alone.text("SNAPSHOT CREATE")).startswith("ERR CONFLICT")
    await trio.sleep(2)
    assert await alone.text("SNAPSHOT LIST") == "OK count=0 offset=0\n"


async def test_a_read_barrier_brings_a_node_up_to_what_was_committed(client: Client, alone: Client) -> None:
    end = await client.ask("CONFIG SET client-metrics/a metrics=1")
    assert isinstance(end, Answer)
    await client.service.read_barrier()
    assert client.service.applied_end_offset > int(str(end.pairs["offset"]))
    with pytest.raises(RefusedError) as refused:
        await alone.service.read_barrier()
    assert refused.value.code == "NO_LEADER"


async def test_transfer_alone_goes_nowhere_and_says_so(client: Client) -> None:
    assert (await client.text("QUORUM TRANSFER")).startswith("ERR CONFLICT")
    assert (await client.text("QUORUM TRANSFER to=9")).startswith("ERR BAD_ARGUMENT key=to")
    assert (await client.text("QUORUM TRANSFER to=1")).startswith("OK leader=1")


async def test_too_many_long_asks_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.node.node_service.SLOW_MAX", 0)
    assert (await client.text("HEALTH")).startswith("ERR OVERLOADED")
