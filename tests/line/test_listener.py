"""The listener on loopback, in front of a fake service: order, tags, bounds, hints, slow readers, watches."""

import errno
import json
import socket
from collections.abc import AsyncIterator
from random import Random

import pytest
import trio

from tests.line.service import FakeService, Server, commands_of, serving
from yakt.errors import RefusedError
from yakt.line.gate import Limits
from yakt.metadata import commands as c
from yakt.metadata import questions as q
from yakt.metadata.answers import Answer, Result, Row
from yakt.metadata.asked import Asked


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def test_ping_as_netcat_does(server: Server) -> None:
    assert await server.say("PING\n") == "OK\n"
    assert await server.say("") == ""
    assert await server.say("PING\nQUIT\nPING\n") == "OK\nOK\n"
    assert (await server.say("PING\nPING")).startswith("OK\nERR BAD_SYNTAX col=5 ")


async def test_a_pipeline_is_one_submission_and_answered_in_order(server: Server) -> None:
    text = "@a CONFIG SET topic/x a=1\n\nPING\n@b TOPIC SHOW y\nNOPE\n@c CONFIG GET topic/x\n"
    assert (await server.say(text)).splitlines() == [
        "@a OK offset=1",
        "OK",
        '@b ERR UNKNOWN_TOPIC kafka=3 topic=y msg="no topic y" retry=false applied=no',
        'ERR UNKNOWN_COMMAND command=NOPE msg="there is no command NOPE" hint=HELP retry=false applied=no',
        '@c - config entity=topic/x key=a value="1"',
        "@c OK count=1 offset=1",
    ]
    assert len(server.service.seen) == 1


async def test_byte_by_byte(server: Server) -> None:
    text = "HELLO 1 client=me\r\n@a CONFIG SET topic/x a=1\n\nPING\n@b TOPIC SHOW y\n# no\nNOPE\nQUIT\n"
    whole = await server.say(text)
    server.service.offset = 0
    typist = await server.connect()
    for character in text:
        await typist.type(character)
        await trio.lowlevel.checkpoint()
    assert await typist.rest() == whole


async def test_noise_of_all_kinds_leaves_the_listener_serving(server: Server) -> None:
    random = Random(7)
    for _ in range(60):
        noise = bytes(random.choice(b'ab @="[]{}\\\n\n\r\t\x00\xff\x16,') for _ in range(random.randrange(1, 400)))
        typist = await server.connect()
        await typist.type(random.choice([b"", b"PING\n", b"HELLO format=json\n", b"@w WATCH\n"]) + noise)
        if random.random() < 0.5:
            await typist.stream.send_eof()
            await typist.rest()
        await typist.stream.aclose()
    assert await server.say("PING\n") == "OK\n"


async def test_one_submission_a_connection_under_way(server: Server) -> None:
    server.service.held = True
    typist = await server.connect()
    asked = server.service.asked_for
    await typist.type("TOPIC DELETE a\n")
    await asked.wait()
    other = await server.connect()
    asked = server.service.asked_for
    await other.type("TOPIC DELETE z\n")
    await asked.wait()
    await typist.type("TOPIC DELETE b\nPING\nTOPIC DELETE c\n")
    assert await server.say("PING\n") == "OK\n"
    assert commands_of(server.service.seen) == [[c.DeleteTopic("a")], [c.DeleteTopic("z")]]
    asked = server.service.asked_for
    server.service.release()
    await asked.wait()
    server.service.release()
    assert await typist.lines(4) == ["OK offset=1", "OK offset=3", "OK", "OK offset=4"]
    assert commands_of(server.service.seen)[2:] == [[c.DeleteTopic("b"), c.DeleteTopic("c")]]


async def test_what_may_wait_long_does_not_hold_up_replies_before_it(server: Server) -> None:
    server.service.held = True
    typist = await server.connect()
    asked = server.service.asked_for
    await typist.type("TOPIC DELETE a\nFETCH since=9 wait=60000\nTOPIC DELETE b\n")
    await asked.wait()
    asked = server.service.asked_for
    server.service.release()
    assert await typist.line() == "OK offset=1"
    await asked.wait()
    assert commands_of(server.service.seen) == [[c.DeleteTopic("a")], [q.FetchChanges(9, wait_ms=60000)]]


async def test_a_client_that_ends_its_input_still_gets_its_replies(server: Server) -> None:
    server.service.held = True
    typist = await server.connect()
    asked = server.service.asked_for
    await typist.type("TOPIC DELETE a\nPING\n")
    await typist.stream.send_eof()
    await asked.wait()
    server.service.release()
    assert await typist.rest() == "OK offset=1\nOK\n"


async def test_an_answer_to_a_client_that_is_gone_is_dropped(server: Server) -> None:
    server.service.held = True
    typist = await server.connect()
    asked = server.service.asked_for
    await typist.type("TOPIC DELETE a\n" * 3)
    await asked.wait()
    await typist.stream.aclose()
    await server.say("PING\n")
    server.service.release()
    assert await server.say("PING\n") == "OK\n"


async def test_hello(server: Server) -> None:
    text = await server.say(
        "HELLO 1 client=me format=json\nTOPIC DELETE a\n@t PING\nNOPE\nHELP PING\nHELLO format=kv\n"
    )
    *lines, last = text.splitlines()
    first, *others = [json.loads(line) for line in lines]
    assert first == {
        "_": "ok", "version": 1, "node": 1, "cluster": "test", "server": "yakt/0", "leader": 1, "epoch": 3,
        "format": "json", "max_line": 65536,
    }  # fmt: skip
    assert others[0] == {"_": "ok", "offset": 1}
    assert others[1] == {"_": "ok", "tag": "t"}
    assert (others[2]["_"], others[2]["code"], others[2]["retry"]) == ("err", "UNKNOWN_COMMAND", False)
    assert others[3] == {"_": "text", "text": "PING"}
    assert others[-1] == {"_": "ok"}
    assert last == "OK version=1 node=1 cluster=test server=yakt/0 leader=1 epoch=3 format=kv max_line=65536"
    assert server.service.seen[1][0].origin.client == "me"


async def test_replies_before_a_hello_keep_their_form(server: Server) -> None:
    first, second, third = (await server.say("TOPIC DELETE a\nHELLO format=json\nTOPIC DELETE b\n")).splitlines()
    assert first == "OK offset=1"
    assert json.loads(second)["format"] == "json"
    assert json.loads(third) == {"_": "ok", "offset": 2}


async def test_zookeepers_words(server: Server) -> None:
    assert await server.say("ruok") == "imok"
    assert await server.say("ruok\n") == "imok"
    assert "Mode: leader\n" in await server.say("srvr\n")
    assert "zk_server_state\tleader\n" in await server.say("mntr\n")
    server.service.reply = lambda asked: Answer({"ready": False, "reasons": ["no leader"]})
    assert await server.say("ruok\n") == "not ready: no leader\n"
    server.service.reply = lambda asked: Answer({"role": "unattached"})
    assert await server.say("srvr\n") == "This ZooKeeper instance is not currently serving requests\n"


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\nTOPIC DELETE x\n", b"\x16\x03\x01\x00\x05", b"\x00\x00\x00\x05\x00\x12"]
)
async def test_another_protocol_gets_one_hint_and_is_closed(server: Server, first: bytes) -> None:
    typist = await server.connect()
    await typist.type(first)
    text = await typist.rest()
    assert text.startswith("ERR BAD_SYNTAX ")
    assert text.count("\n") == 1
    assert server.service.seen == []


async def test_an_endless_line_is_closed(server: Server) -> None:
    typist = await server.connect()
    with pytest.raises(trio.BrokenResourceError):
        await typist.type_until_refused(b"x" * 65536)
    assert await server.say("PING\n") == "OK\n"


async def test_an_overlong_line_does_not_put_the_session_out_of_step(server: Server) -> None:
    first, second = (await server.say(b"x" * 100_000 + b"\n@t PING\n")).splitlines()
    assert first.startswith("ERR LINE_TOO_LONG ")
    assert second == "@t OK"


async def test_five_thousand_requests_at_once(server: Server) -> None:
    typist = await server.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(typist.type, b"".join(b"@%d CONFIG SET topic/x a=%d\n" % (n, n) for n in range(5000)))
        assert await typist.lines(5000) == [f"@{n} OK offset={n + 1}" for n in range(5000)]
    assert max(len(turn) for turn in server.service.seen) <= 1024


async def test_a_slow_reader_is_not_formatted_ahead_of_nor_read_from() -> None:
    answered = 0

    def reply(asked: Asked) -> Result:
        nonlocal answered
        answered += 1
        return Answer({"count": 2500}, [Row("topic", {"name": "x" * 100, "n": n}) for n in range(2500)])

    service = FakeService(reply=reply)
    async with serving(service, Limits(send_buffer=8192)) as server:
        typist = await server.connect(receive_buffer=8192)
        await typist.type("TOPIC LIST limit=2500\n" * 30)
        first = await typist.line()
        for _ in range(20):
            assert await server.say("PING\n") == "OK\n"
        assert answered == 8  # of thirty: the rows that a batch may ask for
        lines = [first, *await typist.lines(30 * 2501 - 1)]
        assert answered == 30
    assert lines[2500::2501] == ["OK count=2500"] * 30
    assert all(line.startswith("- topic name=xxxx") for line in lines[:2500])


async def test_a_reader_that_stalls_is_closed() -> None:
    service = FakeService()
    async with serving(service, Limits(stall=0.05, send_buffer=8192)) as server:
        typist = await server.connect(receive_buffer=8192)
        await typist.type("TOPIC LIST limit=10000\n" * 10)
        with pytest.raises(trio.BrokenResourceError):
            await typist.type_until_refused(b"PING\n")
        assert await server.say("PING\n") == "OK\n"


async def test_too_many_connections_are_turned_away() -> None:
    async with serving(FakeService(), Limits(connections=5, connections_an_address=3)) as server:
        typists = [await server.connect() for _ in range(3)]
        for typist in typists:
            assert await typist.ask("PING") == ["OK"]
        assert (await (await server.connect()).rest()).startswith("ERR OVERLOADED ")
        await typists[0].type("QUIT\n")
        assert await typists[0].rest() == "OK\n"
        await typists[0].stream.aclose()
        with trio.fail_after(5):
            while (await server.say("PING\n")) != "OK\n":
                pass


async def test_out_of_file_descriptors_nobody_is_lost(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.line.gate.SHUT_S", 0.05)
    first = await server.connect()
    assert await first.ask("PING") == ["OK"]
    refused: list[object] = []

    def accept(sock: socket.socket) -> object:
        refused.append(sock)
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr(socket.socket, "accept", accept)
        waiting = await server.connect()
        await first.ask("PING")
        assert len(refused) == 1
    assert await waiting.ask("PING") == ["OK"]


async def test_watch_events_come_between_replies(server: Server) -> None:
    service = server.service
    typist = await server.connect()
    assert await typist.ask("@w WATCH say=true") == ["@w OK watching=true since=1"]
    assert await typist.ask("@v WATCH since=0 kind=broker format=kv") != []
    assert await typist.ask("@v WATCH since=0 kind=broker") == ["@v OK watching=true since=0"]
    service.tell("topic", "a b")
    assert await typist.line() == '@w * topic offset=1 name="a b" say="topic a b changed"'
    service.tell("broker", "1")
    assert sorted(await typist.lines(2)) == [
        '@v * broker offset=2 name="1"',
        '@w * broker offset=2 name="1" say="broker 1 changed"',
    ]
    assert await typist.ask("@u UNWATCH w") == ["@u OK count=1"]
    service.tell("broker", "2")
    assert await typist.line() == '@v * broker offset=3 name="2"'
    assert (await typist.ask("UNWATCH nope"))[0].startswith("ERR BAD_ARGUMENT key=tag ")
    assert await typist.ask("UNWATCH") == ["OK count=1"]
    await typist.ask("PING")
    assert service.watching == 0


async def test_whoever_resumes_at_a_node_that_is_behind_is_served(server: Server) -> None:
    service = server.service
    typist = await server.connect()
    service.catches_up_to = 6
    assert await typist.ask("@w WATCH since=7") == ["@w OK watching=true since=7"]
    service.tell("topic", "a")
    assert await typist.line() == "@w * topic offset=7 name=a"
    assert (await typist.ask("WATCH since=99"))[0].startswith("ERR BAD_ARGUMENT key=since ")
    service.catches_up_to = None
    assert (await typist.ask("WATCH since=99"))[0].startswith("ERR NO_LEADER ")
    assert service.watching == 1


async def test_many_events_at_once(server: Server) -> None:
    typist = await server.connect()
    assert await typist.ask("@w WATCH since=0") == ["@w OK watching=true since=0"]
    for number in range(3000):
        server.service.tell("topic", f"t-{number}")
    assert await typist.lines(3000) == [f"@w * topic offset={n + 1} name=t-{n}" for n in range(3000)]


async def test_nothing_is_heard_of_a_watch_after_its_end(server: Server) -> None:
    typist = await server.connect()
    await typist.ask("@w WATCH since=0")
    for number in range(500):
        server.service.tell("topic", f"t-{number}")
    await typist.type("UNWATCH w\nPING\n")
    for number in range(500):
        server.service.tell("topic", f"u-{number}")
    lines = []
    while "OK" not in lines:
        lines.append(await typist.line())
    assert lines[-2:] == ["OK count=1", "OK"]
    assert all(line.startswith("@w * topic ") for line in lines[:-2])


async def test_watch_in_json(server: Server) -> None:
    typist = await server.connect()
    await typist.type("HELLO format=json\n@w WATCH\n")
    await typist.line()
    assert json.loads(await typist.line()) == {"_": "ok", "tag": "w", "watching": True, "since": 1}
    server.service.tell("topic", "a")
    event = {"_": "topic", "tag": "w", "event": True, "offset": 1, "name": "a"}
    assert json.loads(await typist.line()) == event


async def test_watch_from_a_past_that_is_gone(server: Server) -> None:
    server.service.oldest = 5
    typist = await server.connect()
    [reply] = await typist.ask("@w WATCH since=3")
    assert reply.startswith("@w ERR OFFSET_COMPACTED oldest=5 ")
    assert await typist.ask("PING") == ["OK"]


async def test_a_watcher_that_is_lost_is_told(server: Server) -> None:
    typist = await server.connect()
    await typist.ask("@w WATCH")
    server.service.lose(9)
    assert (await typist.line()).startswith("@w * lost since=9")
    assert await typist.ask("@w WATCH since=9") != []


async def test_the_ninth_watch_is_refused(server: Server) -> None:
    typist = await server.connect()
    for number in range(8):
        assert (await typist.ask(f"@w{number} WATCH"))[0].startswith(f"@w{number} OK ")
    assert (await typist.ask("WATCH"))[0].startswith("ERR OVERLOADED ")
    assert (await typist.ask("@w1 WATCH"))[0].startswith("@w1 ERR OVERLOADED ")
    await typist.ask("UNWATCH w2")
    assert (await typist.ask("@w1 WATCH"))[0].startswith("@w1 ERR CONFLICT ")


async def test_watches_end_with_their_connection(server: Server) -> None:
    typist = await server.connect()
    await typist.ask("WATCH")
    assert server.service.watching == 1
    await typist.stream.aclose()
    with trio.fail_after(5):
        while server.service.watching:
            await server.say("PING\n")
    assert await server.say("WATCH\nPING\n") == "OK watching=true since=1\nOK\n"


async def test_events_wait_for_a_long_reply() -> None:
    service = FakeService()
    async with serving(service, Limits(send_buffer=8192)) as server:
        typist = await server.connect(receive_buffer=8192)
        await typist.ask("@w WATCH")
        await typist.type("TOPIC LIST limit=10000\n")
        assert await typist.line() == "- topic name=t-0 id=xxxxxxxxxxxxxxxxxxxxxx"
        service.tell("topic", "x")
        lines = await typist.lines(10_001)
        assert lines[-2] == "OK count=10000 offset=0"
        assert lines[-1].startswith("@w * topic")


async def test_a_refused_status_is_a_refused_hello(server: Server) -> None:
    server.service.reply = lambda asked: RefusedError("OVERLOADED", "no")
    assert (await server.say("HELLO\n")).startswith("ERR OVERLOADED ")
