"""The Python client against listeners on loopback: follows the leader, repeats safely, resumes watches."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import trio

from tests.line.service import FakeService, Server, serving
from yakt.client import open_client, request_line
from yakt.errors import NotLeaderError, NotReachedError, RefusedError
from yakt.ids import NodeId
from yakt.line.declarations import COMMANDS
from yakt.line.grammar import parse
from yakt.metadata import commands as c
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Origin


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


def at(server: Server) -> str:
    return f"127.0.0.1:{server.address[1]}"


async def test_asks_and_is_answered(server: Server) -> None:
    async with open_client(at(server), name="tests") as client:
        assert (await client.ask("TOPIC DELETE", "a b")).pairs == {"offset": 1}
        assert [row.pairs["key"] for row in (await client.ask("CONFIG GET", "topic/x")).rows] == ["a"]
        assert (await client.ask_line("PING")).pairs == {}
        with pytest.raises(RefusedError, match="no topic y"):
            await client.ask("TOPIC SHOW", "y")
        with pytest.raises(KeyError):
            await client.ask("TOPIC FROB")
    first = server.service.seen[1][0]
    assert first.command == c.DeleteTopic("a b")
    assert first.origin.client == "tests"
    assert len(first.origin.request) == 24
    assert not first.options.forward


async def test_many_tasks_share_one_connection(server: Server) -> None:
    offsets: list[object] = []
    async with open_client(at(server)) as client:

        async def work(number: int) -> None:
            offsets.append((await client.ask("TOPIC DELETE", f"t{number}")).pairs["offset"])

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(work, number)
    assert sorted(map(str, offsets)) == sorted(str(number) for number in range(1, 51))


async def test_goes_to_the_leader_and_stays_there(server: Server) -> None:
    async with serving() as follower:
        follower.service.reply = lambda asked: (
            NotLeaderError(NodeId(1), at(server)) if not asked.options.forward else Answer({"offset": 99})
        )
        async with open_client(at(follower)) as client:
            for offset in (1, 2):
                assert (await client.ask("TOPIC DELETE", "x")).pairs == {"offset": offset}
        assert len(follower.service.seen) == 1
        ids = {turn[0].origin.request for turn in follower.service.seen + server.service.seen[:1]}
        assert len(ids) == 1


async def test_a_leader_that_cannot_be_reached_is_asked_through_the_others(server: Server) -> None:
    server.service.reply = lambda asked: (
        NotLeaderError(NodeId(2), "127.0.0.1:1") if not asked.options.forward else Answer({"offset": 99})
    )
    async with open_client(at(server)) as client:
        assert (await client.ask("TOPIC DELETE", "x")).pairs == {"offset": 99}


async def test_a_lost_connection_is_followed_by_the_same_request_elsewhere(server: Server) -> None:
    async with serving(FakeService(held=True)) as dying:
        async with open_client(f"{at(dying)},{at(server)}") as client, trio.open_nursery() as nursery:
            asked = dying.service.asked_for

            async def ask() -> None:
                assert (await client.ask("TOPIC DELETE", "x", by="ann")).pairs == {"offset": 1}

            nursery.start_soon(ask)
            await asked.wait()
            dying.stop()
        assert dying.service.seen[0][0].origin == Origin(
            "", dying.service.seen[0][0].origin.address, server.service.seen[0][0].origin.request, "ann"
        )


async def test_no_leader_is_asked_again_until_there_is_one(server: Server) -> None:
    answers: list[Result] = [
        RefusedError("NO_LEADER", "none", retry=True),
        RefusedError("TIMEOUT", "late", retry=True, maybe=True),
        Answer({"offset": 5}),
    ]
    server.service.reply = lambda asked: answers.pop(0)
    async with open_client(at(server)) as client:
        assert (await client.ask("TOPIC DELETE", "x")).pairs == {"offset": 5}
    assert len({turn[0].origin.request for turn in server.service.seen}) == 1


async def test_gives_up_in_time_and_says_what_is_known(server: Server) -> None:
    server.service.reply = lambda asked: RefusedError("NO_LEADER", "none", retry=True)
    async with open_client(at(server), timeout=0.2) as client:
        with pytest.raises(RefusedError) as caught:
            await client.ask("TOPIC DELETE", "x")
        assert (caught.value.code, caught.value.maybe) == ("NO_LEADER", False)
        server.service.held = True
        with pytest.raises(RefusedError) as caught:
            await client.ask("TOPIC DELETE", "x")
        assert (caught.value.code, caught.value.maybe) == ("TIMEOUT", True)
        with pytest.raises(NotReachedError):
            await client.ask("TOPIC LIST")
    async with open_client("127.0.0.1:1", timeout=0.2) as client:
        with pytest.raises(NotReachedError, match=r"127\.0\.0\.1:1"):
            await client.ask("TOPIC DELETE", "x")


async def test_a_node_that_hangs_is_not_waited_for_to_the_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.client.TRY_S", 0.2)
    [hanging] = await trio.open_tcp_listeners(0, host="127.0.0.1")  # takes connections, as a stopped process does
    async with hanging, open_client(f"127.0.0.1:{hanging.socket.getsockname()[1]},{at(server)}") as client:
        with trio.fail_after(5):
            assert (await client.ask("TOPIC DELETE", "a", timeout=20)).pairs == {"offset": 1}
            assert (await client.ask("TOPIC DELETE", "b", timeout=20)).pairs == {
                "offset": 2
            }  # and stays with the other
    asked = [one.command for seen in server.service.seen for one in seen if isinstance(one.command, c.DeleteTopic)]
    assert asked == [c.DeleteTopic("a"), c.DeleteTopic("b")]


async def test_a_watch_resumes_where_it_was(server: Server) -> None:
    async with serving() as other:
        other.service.tell("topic", "a")
        other.service.tell("topic", "b")
        server.service.tell("topic", "a")
        async with (
            open_client(f"{at(server)},{at(other)}") as client,
            aclosing(client.watch(since=0)) as events,
        ):
            event = await anext(events)
            assert (event.kind, event.offset, event.pairs["name"]) == ("topic", 1, "a")
            server.stop()
            event = await anext(events)
            assert (event.offset, event.pairs["name"]) == (2, "b")


async def test_a_watch_goes_past_a_node_that_lags(server: Server) -> None:
    async with serving() as lagging:
        lagging.service.behind = True
        server.service.tell("topic", "a")
        async with (
            open_client(f"{at(lagging)},{at(server)}") as client,
            aclosing(client.watch(since=1)) as events,
        ):
            assert (await anext(events)).offset == 1


async def test_a_watch_of_what_is_gone_is_refused(server: Server) -> None:
    server.service.oldest = 5
    async with open_client(at(server)) as client, aclosing(client.watch(since=1)) as events:
        with pytest.raises(RefusedError) as caught:
            await anext(events)
        assert (caught.value.code, caught.value.details["oldest"]) == ("OFFSET_COMPACTED", 5)


@pytest.mark.parametrize(
    ("command", "words", "keys", "line"),
    [
        ("TOPIC CREATE", ["a b"], {"partitions": 3, "config": {"retention.ms": 5}, "rack": None},
         'TOPIC CREATE "a b" partitions=3 config.retention.ms=5'),
        ("TOPIC CREATE", ["x"], {"assignment": [[1]], "if_offset": 7}, "TOPIC CREATE x assignment=[[1]] if-offset=7"),
        ("CONFIG SET", ["topic/x"], {"values": {"a": "b c", "d": True}}, 'CONFIG SET topic/x a="b c" d=true'),
        ("PARTITION LIST", [], {"under_replicated": True}, "PARTITION LIST under-replicated=true"),
        ("LOG", [], {"from_": 3}, "LOG from=3"),
        ("BROKER CHANGE", [1], {"host": "", "port": 2, "rack": "a\nb"}, 'BROKER CHANGE 1 host="" port=2 rack="a\\nb"'),
    ],
)  # fmt: skip
def test_lines_of_calls(command: str, words: list[object], keys: dict[str, object], line: str) -> None:
    made = request_line(COMMANDS.get(command), words, keys)  # type: ignore[arg-type]
    assert made == line
    assert parse(made.encode()) is not None
