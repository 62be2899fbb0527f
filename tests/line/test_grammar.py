"""Lines to commands, and the two ways of reading them held to the same answers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import RefusedError
from yakt.line import asks
from yakt.line.declarations import COMMANDS
from yakt.line.grammar import is_plain, is_safe_to_repeat, parse, parse_forwarded, usage_fault
from yakt.line.registry import CommandSpec
from yakt.line.replies import format_reply
from yakt.line.requests import line_of_arguments
from yakt.line.words import LINE_SIZE_MAX
from yakt.metadata import commands as c
from yakt.metadata import questions as q
from yakt.metadata.asked import DEFAULT_OPTIONS, Asked, Options, Origin
from yakt.metadata.entities import Entity, TopicPartition

ORIGIN = Origin("me", "127.0.0.1:5")


def asked(line: str) -> Asked:
    request = parse(line.encode(), ORIGIN)
    assert request is not None
    assert isinstance(request.ask, Asked), format_reply(request.ask) if isinstance(request.ask, RefusedError) else ""
    return request.ask


def refused(line: str) -> str:
    request = parse(line.encode(), ORIGIN)
    assert request is not None
    assert isinstance(request.ask, RefusedError)
    return format_reply(request.ask, request.tag)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("status", q.ShowStatus()),
        ("HEALTH", q.ShowHealth()),
        ("QUORUM SHOW", q.ShowQuorum()),
        ("EXPLAIN write", q.Explain(None)),
        ("HISTORY topic/007 say=true limit=5 after=7", q.ReadHistory(Entity("topic", "007"), True, 5, "7")),
        ("HISTORY orders:3", q.ReadHistory(TopicPartition("orders", 3))),
        ("BLAME broker/", q.Blame(Entity("broker", ""))),
        ("DIFF 5 12 limit=3", q.Compare(5, 12, 3)),
        ("EXPLAIN broker/07", q.Explain(Entity("broker", "7"))),
        ("EXPLAIN orders:3", q.Explain(TopicPartition("orders", 3))),
        ("PARTITION LEADER orders:3 to=2 unclean=true", c.ElectLeader("orders", 3, True, 2)),
        (
            "PARTITION ISR orders:3 broker=1 epoch=5 leader-epoch=0 isr=[1,2]",
            c.AlterIsr("orders", 3, 1, 5, 0, (1, 2)),
        ),
        ("QUORUM TRANSFER to=2", q.TransferLeadership(2)),
        ("QUORUM TRANSFER", q.TransferLeadership()),
        ("BROKER REGISTER 1 host=b1.local port=9092 rack=r1", c.RegisterBroker(1, "b1.local", 9092, "r1")),
        (
            "BROKER REGISTER 1 host=h port=1 protocol=SSL incarnation=AAAAAAAAAAAAAAAAAAAAAQ session=60000",
            c.RegisterBroker(1, "h", 1, None, "SSL", bytes(15) + b"\x01", 60000),
        ),
        ("BROKER HEARTBEAT 3 epoch=99", c.HeartbeatBroker(3, 99)),
        ("BROKER HEARTBEAT 3 at=7 fence=true shutdown=false", c.HeartbeatBroker(3, None, 7, True, False)),
        ('BROKER CHANGE 1 host=h rack=""', c.ChangeBroker(1, "h", None, None, "")),
        ("BROKER UNREGISTER 1", c.UnregisterBroker(1)),
        ("BROKER FENCE 1", c.FenceBroker(1)),
        ("BROKER LIST fenced=true limit=5 after=1", q.ListBrokers(True, 5, "1")),
        ("BROKER SHOW 1", q.ShowBroker(1)),
        (
            "TOPIC CREATE 007 partitions=3 replication=2 config.retention.ms=5 config.a=",
            c.CreateTopic("007", 3, 2, None, (("retention.ms", "5"), ("a", ""))),
        ),
        ("TOPIC CREATE true assignment=[[1,2],[2,1]]", c.CreateTopic("true", assignment=((1, 2), (2, 1)))),
        ('TOPIC DELETE "a b"', c.DeleteTopic("a b")),
        ("TOPIC LIST match=a*", q.ListTopics("a*")),
        ("TOPIC SHOW x limit=1 after=3", q.ShowTopic("x", 1, "3")),
        ("PARTITION ADD x count=12", c.AddPartitions("x", 12)),
        (
            "PARTITION LIST topic=x broker=1 leaderless=true under-replicated=true",
            q.ListPartitions("x", 1, True, True),
        ),
        ("CONFIG SET broker/ a.b=c,d e=", c.SetConfigs(Entity("broker", ""), (("a.b", "c,d"), ("e", "")))),
        ("CONFIG SET broker/007 a=1", c.SetConfigs(Entity("broker", "7"), (("a", "1"),))),
        ("CONFIG SET group/x match=a m=b", c.SetConfigs(Entity("group", "x"), (("match", "a"), ("m", "b")))),
        ("CONFIG GET group/g/h", q.GetConfigs(Entity("group", "g/h"))),
        ("CONFIG DELETE topic/x a b", c.DeleteConfigs(Entity("topic", "x"), ("a", "b"))),
        ("FEATURE LIST", q.ListFeatures()),
        ("PID ALLOC broker=1 epoch=5", c.AllocateProducerIds(1, 5)),
        ("PRODUCER REGISTER broker=1 epoch=5 producer=9", c.RegisterProducer(1, 5, 9)),
        ("PRODUCER LIST", q.ListProducers()),
        ("PRODUCER SHOW 9", q.ShowProducer(9)),
        ("PRODUCER DELETE 9", c.DeleteProducer(9)),
        ("FETCH since=7 limit=2 wait=0 broker=1 epoch=3", q.FetchChanges(7, 2, 0, 1, 3)),
        ("FETCH", q.FetchChanges(None)),
        ("VIEW since=7", q.FetchChanges(7, view=True)),
        ("LOG from=3 limit=10", q.ReadLog(3, 10)),
        ("SNAPSHOT CREATE wait=true", q.CreateSnapshot(True)),
        ("SNAPSHOT LIST", q.ListSnapshots()),
        ("SNAPSHOT VERIFY 00-1", q.VerifySnapshot("00-1")),
    ],
)  # fmt: skip
def test_commands(line: str, command: object) -> None:
    found = asked(line)
    assert found.command == command
    assert found.line == line.encode()
    assert found.origin == ORIGIN
    assert found.options == DEFAULT_OPTIONS
    assert asked(line.replace(line.split()[0], line.split()[0].lower(), 1)).command == command


@pytest.mark.parametrize(
    ("line", "ask"),
    [
        ("HELLO", asks.Hello()),
        ("HELLO 1 client=x format=json", asks.Hello("x", "json")),
        ("PING", asks.Ping()),
        ("?", asks.Help()),
        ("HELP topic create", asks.Help(("TOPIC", "CREATE"))),
        ("quit", asks.Quit()),
        ("WATCH", asks.Watch()),
        ("WATCH since=7 kind=topic match=a* say=true", asks.Watch(7, "topic", "a*", True)),
        ("UNWATCH", asks.Unwatch()),
        ("UNWATCH w", asks.Unwatch("w")),
        ("ruok", asks.ZooKeeperWord("ruok")),
    ],
)
def test_asks_of_the_connection(line: str, ask: object) -> None:
    request = parse(line.encode())
    assert request is not None
    assert request.ask == ask


def test_shared_options() -> None:
    found = asked('@t TOPIC DELETE x timeout=5 forward=false check=true if-offset=3 request=r1 by=ann reason="no use"')
    assert found.options == Options(timeout_ms=5, forward=False, check=True, if_offset=3)
    assert found.origin == Origin("me", "127.0.0.1:5", "r1", "ann", "no use")
    assert (
        found.line == b'TOPIC DELETE x timeout=5 forward=false check=true if-offset=3 request=r1 by=ann reason="no use"'
    )
    assert asked("TOPIC LIST read=local min=4 at=5 timeout=0").options == Options(
        timeout_ms=0, read="local", min_offset=4, at_offset=5
    )


def test_what_waits_by_intent_has_that_time_on_top() -> None:
    assert asked("FETCH since=7 wait=60000").options == Options(timeout_ms=65000)
    assert asked("FETCH since=7 wait=60000 timeout=9").options == Options(timeout_ms=9)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("TOPIC CREAT x", 'ERR UNKNOWN_COMMAND command="TOPIC CREAT" did-you-mean="TOPIC CREATE" '),
        ("topics list", "ERR UNKNOWN_COMMAND command=TOPICS did-you-mean=\"TOPIC LIST\" "),
        ("CREATE TOPIC x", 'ERR UNKNOWN_COMMAND command=CREATE did-you-mean="TOPIC CREATE" '),
        ("PIGN", "ERR UNKNOWN_COMMAND command=PIGN did-you-mean=PING "),
        ("@t TOPIC", "@t ERR UNKNOWN_COMMAND command=TOPIC msg=\"TOPIC what? TOPIC CREATE, "),
        ("GOSSIP write", "ERR UNKNOWN_COMMAND command=GOSSIP "),
        ("QUORUM ADD id=1", 'ERR UNKNOWN_COMMAND command="QUORUM ADD" '),
        ('"" x', 'ERR UNKNOWN_COMMAND command="" '),
        ("a=b", 'ERR UNKNOWN_COMMAND command="" '),
        ("@t", '@t ERR UNKNOWN_COMMAND command="" '),
        ("TOPIC CREATE", "ERR BAD_ARGUMENT key=name "),
        ("TOPIC CREATE x y", "ERR BAD_ARGUMENT key=y "),
        ("TOPIC CREATE x partitons=3", "ERR BAD_ARGUMENT key=partitons did-you-mean=partitions "),
        ("TOPIC CREATE x retention.ms=3", "ERR BAD_ARGUMENT key=retention.ms did-you-mean=config.retention.ms "),
        ("TOPIC CREATE x partitions=three", "ERR BAD_ARGUMENT key=partitions "),
        ("TOPIC CREATE x partitions=12345678901234567890", "ERR BAD_ARGUMENT key=partitions "),
        ("TOPIC CREATE x partitions=[1]", "ERR BAD_ARGUMENT key=partitions "),
        ("TOPIC CREATE x assignment=[[1,true]]", "ERR BAD_ARGUMENT key=assignment "),
        ("TOPIC CREATE x assignment=[[1]] replication=1", "ERR BAD_ARGUMENT key=assignment "),
        ("TOPIC LIST limit=10001", "ERR BAD_ARGUMENT key=limit "),
        ("TOPIC LIST limit=0", "ERR BAD_ARGUMENT key=limit "),
        ("TOPIC LIST at=-1", "ERR BAD_ARGUMENT key=at "),
        ("TOPIC LIST by=x", "ERR BAD_ARGUMENT key=by "),
        ("TOPIC DELETE x check=yes", "ERR BAD_ARGUMENT key=check "),
        ("TOPIC DELETE x request=" + "r" * 129, "ERR BAD_ARGUMENT key=request "),
        ("TOPIC DELETE x reason=" + "é" * 513, "ERR BAD_ARGUMENT key=reason "),
        ("TOPIC DELETE {}", "ERR BAD_ARGUMENT key=name "),
        ("BROKER REGISTER 1 port=1", "ERR BAD_ARGUMENT key=host "),
        ("BROKER SHOW 2147483648", "ERR BAD_ARGUMENT key=id "),
        ("BROKER REGISTER 1 host=h port=1 incarnation=x", "ERR BAD_ARGUMENT key=incarnation "),
        ("CONFIG SET topic/x", "ERR BAD_ARGUMENT key=KEY "),
        ("CONFIG SET topics/x a=1", "ERR BAD_ARGUMENT key=entity "),
        ("CONFIG SET topic/ a=1", "ERR BAD_ARGUMENT key=entity "),
        ("CONFIG SET broker/x a=1", "ERR BAD_ARGUMENT key=entity "),
        ("CONFIG DELETE topic/x", "ERR BAD_ARGUMENT key=KEY "),
        ("HELLO 2", "ERR BAD_ARGUMENT key=version "),
        ("PING x", "ERR BAD_ARGUMENT key=x "),
        ("@u " + "x" * LINE_SIZE_MAX, "ERR LINE_TOO_LONG "),
    ],
)  # fmt: skip
def test_refusals(line: str, reply: str) -> None:
    found = refused(line)
    assert found.startswith(reply)
    assert found.endswith(" retry=false applied=no\n")


@pytest.mark.parametrize("line", ["", " \t ", "\r", "# TOPIC DELETE x", "  #"])
def test_blank_lines_and_comments(line: str) -> None:
    assert parse(line.encode()) is None


def test_a_carriage_return_is_ignored() -> None:
    request = parse(b"TOPIC DELETE x\r")
    assert request is not None
    assert isinstance(request.ask, Asked)
    assert request.ask.command == c.DeleteTopic("x")
    assert request.ask.line == b"TOPIC DELETE x"


_PLAIN_WORDS = st.sampled_from(
    [
        *("CONFIG", "SET", "GET", "config", "topic/x", "client-metrics/a", "broker/1", "broker/", "group/", "topic"),
        *(
            "a=1",
            "metrics=x",
            "timeout=5",
            "read=local",
            "request=r",
            "limit=3",
            "a.b=",
            "=",
            "1=2",
            "x==y",
            "",
            "@t",
            "#",
            "é=1",
        ),
    ]
)


@given(st.lists(_PLAIN_WORDS, max_size=7))
def test_the_short_way_and_the_general_way_agree(words: list[str]) -> None:
    line = " ".join(words).encode()
    assert _comparable(parse(line, ORIGIN, plain=is_plain(line))) == _comparable(parse(line, ORIGIN))


def _comparable(request: object) -> object:
    ask = getattr(request, "ask", None)
    return (getattr(request, "tag", None), format_reply(ask)) if isinstance(ask, RefusedError) else request


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=40))
def test_any_line_is_read_without_an_exception(text: str) -> None:
    for line in (text.encode(), b"CONFIG SET topic/x a=" + text.encode(), b"@t TOPIC CREATE " + text.encode()):
        request = parse(line, ORIGIN, plain=is_plain(line))
        if request is not None and isinstance(request.ask, Asked):
            assert parse(request.ask.line, ORIGIN) == msgspec.structs.replace(request, tag="")


@pytest.mark.parametrize("spec", list(COMMANDS), ids=lambda spec: spec.name)
def test_each_line_cut_short_is_refused_or_a_command(spec: CommandSpec) -> None:
    for line in [spec.usage, *(example.line for example in spec.examples)]:
        for end in range(len(line)):
            parse(line[:end].encode())


@pytest.mark.parametrize("spec", list(COMMANDS), ids=lambda spec: spec.name)
def test_examples_are_commands(spec: CommandSpec) -> None:
    for example in spec.examples:
        request = parse(example.line.encode())
        assert request is not None
        assert not isinstance(request.ask, RefusedError), format_reply(request.ask)
    assert spec.text.endswith(".") or spec.text.endswith("?")


def test_a_forwarded_line_is_a_command() -> None:
    found = parse_forwarded(b"TOPIC DELETE x by=ann", client="me", address="127.0.0.1:5")
    assert isinstance(found, Asked)
    assert (found.command, found.origin) == (c.DeleteTopic("x"), Origin("me", "127.0.0.1:5", "", "ann"))
    for line in (b"PING", b"", b"TOPIC DELETE", b"\xff"):
        assert isinstance(parse_forwarded(line, client="", address=""), RefusedError)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")) | st.from_regex(r"[a-z.]{1,5}=.{0,9}", fullmatch=True)))
def test_arguments_of_a_shell_become_one_line(arguments: list[str]) -> None:
    request = parse(line_of_arguments(["TOPIC", "LIST", *arguments]).encode())
    assert request is not None
    assert not (isinstance(request.ask, RefusedError) and request.ask.code in ("UNKNOWN_COMMAND",))


def test_arguments_are_quoted_where_they_must_be() -> None:
    line = line_of_arguments(
        ["topic", "create", "x", "reason=two words", "assignment=[[1,2]]", "by=", 'config.a="', "b c"]
    )
    assert line == 'topic create x reason="two words" assignment=[[1,2]] by= config.a="\\"" "b c"'


@pytest.mark.parametrize(
    ("line", "safe"),
    [
        ("TOPIC LIST", True),
        ("STATUS", True),
        ("QUORUM SHOW", True),
        ("PING", True),
        ("TOPIC DELETE x", False),
        ("TOPIC DELETE x request=1", True),
        ("QUORUM TRANSFER", False),
    ],
)
def test_what_may_be_repeated(line: str, safe: bool) -> None:
    assert is_safe_to_repeat(line) is safe


def test_usage_faults_are_found_without_a_server() -> None:
    assert usage_fault("TOPIC LIST") is None
    for line in ("TOPIC", "topic create", "nope", ""):
        assert (usage_fault(line) or "").startswith("ERR ")
