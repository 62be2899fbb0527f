"""Every command of this release, once: HELP, completion, the parser and the command line know no other list."""

from yakt.line.arguments import Boolean, Choice, Integer, Subject, Text, Thing
from yakt.line.asks import Hello, Help, Ping, Quit, Unwatch, Watch, ZooKeeperWord
from yakt.line.nouns.acls import ACLS
from yakt.line.nouns.brokers import BROKERS
from yakt.line.nouns.configs import CONFIGS
from yakt.line.nouns.features import FEATURES
from yakt.line.nouns.partitions import PARTITIONS
from yakt.line.nouns.producers import PRODUCERS
from yakt.line.nouns.quotas import QUOTAS
from yakt.line.nouns.scram import SCRAM
from yakt.line.nouns.terms import ID
from yakt.line.nouns.tokens import TOKENS
from yakt.line.nouns.topics import TOPICS
from yakt.line.registry import Argument, CommandSpec, Example, Option, Registry
from yakt.line.shared import LIMIT
from yakt.metadata.questions import (
    Blame,
    Compare,
    CreateSnapshot,
    Explain,
    FetchChanges,
    ListSnapshots,
    ReadHistory,
    ReadLog,
    ShowFigures,
    ShowHealth,
    ShowQuorum,
    ShowStatus,
    ShowSummary,
    TransferLeadership,
    VerifySnapshot,
)

_OFFSET = Integer(form="offset")
_MILLISECONDS = Integer(0, 3_600_000, form="ms")

_CONNECTION = (
    CommandSpec(
        name="HELLO",
        kind="connection",
        text="Who you are, and how replies shall look.",
        make=lambda version=1, client=None, format=None: Hello(client, format),
        arguments=(Argument(name="version", type=Integer(1, 1), text="of the protocol: 1", required=False),),
        options=(
            Option(key="client", type=Text(128), text="your name, kept with what you write"),
            Option(key="format", type=Choice(("kv", "json")), text="json: every reply line is a JSON object"),
        ),
        reply=("version", "node", "cluster", "server", "leader", "epoch", "format", "max_line"),
        examples=(Example(line="HELLO 1 client=deploy format=json", text="replies as JSON objects"),),
    ),
    CommandSpec(name="PING", kind="connection", text="Is anybody there?", make=Ping),
    CommandSpec(
        name="HELP",
        kind="connection",
        text="All commands, or one of them in full; ? is short for it.",
        make=lambda topic=(): Help(tuple(word.upper() for word in topic)),
        arguments=(
            Argument(
                name="command",
                type=Text(1024),
                text="a command, or its first word",
                field="topic",
                required=False,
                repeated=True,
            ),
        ),
        examples=(Example(line="HELP TOPIC CREATE", text="one command in full"),),
    ),
    CommandSpec(name="QUIT", kind="connection", text="Close, once all replies are out.", make=Quit),
    *(
        CommandSpec(name=word.upper(), kind="connection", text=text, make=lambda word=word: ZooKeeperWord(word))
        for word, text in (
            ("ruok", "ZooKeeper's health word: imok, if a write would be taken now; then closes."),
            ("srvr", "This node in ZooKeeper's words (Mode: leader); then closes."),
            ("mntr", "This node's figures in ZooKeeper's form (zk_server_state leader); then closes."),
        )
    ),
)

_NODE = (
    CommandSpec(
        name="STATUS",
        kind="node",
        text="What this node knows of itself, at once.",
        make=ShowStatus,
        reply=(
            "node",
            "role",
            "leader",
            "epoch",
            "log_end",
            "high_watermark",
            "applied",
            "cluster",
            "uptime_ms",
        ),
    ),
    CommandSpec(
        name="HEALTH",
        kind="node",
        text="Would a write sent here now commit? Asked of the leader and a majority, never guessed.",
        make=ShowHealth,
        reply=("ready", "reasons"),
    ),
    CommandSpec(
        name="EXPLAIN",
        kind="node",
        text="Why a partition or broker is as it is, or whether a write would commit; and what to type next.",
        make=lambda subject: Explain(subject),
        arguments=(
            Argument(
                name="subject", type=Subject(), text="a partition, orders:0; a broker, broker/1; or the word write"
            ),
        ),
        rows=("text",),
        reply=("offset",),
        notes=("From what the node asked knows at this moment, with or without a leader; it waits for nobody.",),
        examples=(
            Example(line="EXPLAIN orders:0", text="why has it no leader, who may lead, what brings it back?"),
            Example(line="EXPLAIN broker/3", text="why is it fenced, and since when?"),
            Example(line="EXPLAIN write", text="would a write sent here commit now?"),
        ),
    ),
    CommandSpec(
        name="QUORUM SHOW",
        kind="node",
        text="The voters and observers, as the leader sees them.",
        make=ShowQuorum,
        rows=("voter", "observer"),
        reply=("leader", "epoch", "high_watermark"),
    ),
    CommandSpec(
        name="QUORUM FIGURES",
        kind="node",
        text="How often and how quickly the leader committed, counted since its process started.",
        make=ShowFigures,
        reply=("node", "leader", "epoch", "elections", "commits", "commit_ms", "bounds_ms", "counts"),
        notes=(
            "commit_ms= is the sum over all commits.",
            "counts= has one for each upper bound in bounds_ms=, and one for what is beyond.",
            "Two answers of one node, a while apart, tell what happened between them.",
        ),
    ),
    CommandSpec(
        name="QUORUM TRANSFER",
        kind="node",
        text="Hand the leadership over.",
        make=TransferLeadership,
        options=(Option(key="to", type=ID, text="the voter to lead; the one furthest on"),),
        reply=("leader", "epoch"),
        examples=(Example(line="QUORUM TRANSFER to=2", text="node 2 shall lead"),),
    ),
    CommandSpec(
        name="LOG",
        kind="node",
        text="The committed records as they are, by Kafka's names.",
        make=ReadLog,
        options=(
            Option(key="from", type=_OFFSET, text="the first offset", field="start", required=True),
            LIMIT,
        ),
        rows=("record",),
        reply=("count", "next", "offset"),
        examples=(Example(line="LOG from=0 limit=10", text="the first ten records"),),
    ),
    CommandSpec(
        name="SNAPSHOT CREATE",
        kind="node",
        text="Take a snapshot of this node's state.",
        make=CreateSnapshot,
        options=(Option(key="wait", type=Boolean(), text="true: answer when it is on disk"),),
        reply=("id", "offset", "bytes", "records"),
    ),
    CommandSpec(
        name="SNAPSHOT LIST",
        kind="node",
        text="This node's snapshots.",
        make=ListSnapshots,
        rows=("snapshot",),
        reply=("count",),
    ),
    CommandSpec(
        name="SNAPSHOT VERIFY",
        kind="node",
        text="Read a snapshot whole and compare it with what is known of its state.",
        make=VerifySnapshot,
        arguments=(Argument(name="id", type=Text(1024, low=1), text="as SNAPSHOT LIST shows it"),),
        reply=("id", "offset", "bytes", "records"),
    ),
)

_CHANGE_ROWS = (
    "broker",
    "topic",
    "partition",
    "config",
    "feature",
    "producer",
    "quota",
    "scram",
    "acl",
    "token",
)
_THING = Argument(
    name="entity",
    type=Thing(),
    text="topic/NAME, broker/ID, a partition (orders:0), broker/ (the cluster), group/NAME, client-metrics/NAME",
    field="subject",
)
_SAY = Option(key="say", type=Boolean(), text="true: each line in plain words too")
_CHANGES = (
    CommandSpec(
        name="SUMMARY",
        kind="read",
        text="The metadata in a few numbers, problems first to be seen.",
        make=ShowSummary,
        reply=(
            "brokers",
            "fenced",
            "shutting_down",
            "topics",
            "partitions",
            "leaderless",
            "under_replicated",
            "reassigning",
            "offset",
            "time",
        ),
        notes=("time= is that of the newest record, ms; null before the first.",),
        examples=(Example(line="SUMMARY read=local", text="at once, from what this node has applied"),),
    ),
    CommandSpec(
        name="FETCH",
        kind="read",
        text="What changed, each thing once, as it now is; or the whole state where that is no longer known.",
        make=lambda since=None, **fields: FetchChanges(since, **fields),
        options=(
            Option(key="since", type=_OFFSET, text="the next= of the last answer; everything"),
            LIMIT,
            Option(key="wait", type=_MILLISECONDS, text="wait so long for a change, ms", field="wait_ms", waits=True),
            Option(key="broker", type=ID, text="make it this broker's heartbeat too"),
            Option(key="epoch", type=Integer(-1), text="its broker epoch; the registered one"),
        ),
        rows=_CHANGE_ROWS,
        reply=("next", "high_watermark"),
        notes=("`OK snapshot=true reason=compacted|ahead next=` follows the whole state: forget what you had.",),
        examples=(Example(line="FETCH since=0 wait=5000", text="poll, and wait for something new"),),
    ),
    CommandSpec(
        name="VIEW",
        kind="read",
        text="As FETCH, but brokers, topics and partitions only: a client's view.",
        make=lambda since=None, **fields: FetchChanges(since, view=True, **fields),
        options=(
            Option(key="since", type=_OFFSET, text="the next= of the last answer; everything"),
            LIMIT,
            Option(key="wait", type=_MILLISECONDS, text="wait so long for a change, ms", field="wait_ms", waits=True),
        ),
        rows=("broker", "topic", "partition"),
        reply=("next", "high_watermark"),
    ),
    CommandSpec(
        name="HISTORY",
        kind="read",
        text="Who changed one thing, when and why: a line for each record, oldest first.",
        make=ReadHistory,
        arguments=(_THING,),
        options=(_SAY,),
        paged=True,
        rows=("broker", "topic", "partition", "config", "quota", "scram", "acl", "token"),
        reply=("count", "offset", "since"),
        notes=(
            "A topic comes with its partitions and configs, a broker with its configs; what was deleted has one too.",
            "A user comes with quotas, credentials, ACLs, tokens; a client-id or an ip with quotas.",
            "since= in its OK: how far back the log is kept.",
        ),
        examples=(
            Example(line="HISTORY topic/orders say=true", text="in plain words too"),
            Example(line="HISTORY orders:0", text="one partition: who led it when"),
            Example(line="HISTORY user/alice", text="who let her do what, and when"),
        ),
    ),
    CommandSpec(
        name="BLAME",
        kind="read",
        text="The last change of one thing: who made it, when and why.",
        make=Blame,
        arguments=(_THING,),
        options=(_SAY,),
        rows=("broker", "topic", "partition", "config", "quota", "scram", "acl", "token"),
        reply=("count", "offset"),
        examples=(Example(line="BLAME topic/orders", text="the last line of its history"),),
    ),
    CommandSpec(
        name="DIFF",
        kind="read",
        text="What differs between two states: each thing once, as it is in the later one, or deleted=true.",
        make=lambda start, end, limit=1000, after=None: Compare(start, end, limit, after),
        arguments=(
            Argument(name="from", type=_OFFSET, text="the earlier state: everything below this offset", field="start"),
            Argument(name="to", type=_OFFSET, text="the later one", field="end"),
        ),
        paged=True,
        rows=_CHANGE_ROWS,
        reply=("count", "offset"),
        examples=(Example(line="DIFF 100 200", text="what the records from 100 to 199 have come to"),),
    ),
    CommandSpec(
        name="WATCH",
        kind="connection",
        text="An event for each change, in the order of commits, none missed, none twice.",
        make=Watch,
        options=(
            Option(key="since", type=_OFFSET, text="from this offset on; from now"),
            Option(key="kind", type=Choice(_CHANGE_ROWS), text="only of this kind"),
            Option(key="match", type=Text(1024), text="only where the name matches this glob"),
            Option(key="say", type=Boolean(), text="true: each event in plain words too"),
        ),
        reply=("watching", "since"),
        notes=("8 at most a connection. A watcher behind the kept log gets `* lost since=`, and its watch ends.",),
        examples=(Example(line="@w WATCH say=true", text="events come as: @w * partition offset=8 … say=…"),),
    ),
    CommandSpec(
        name="UNWATCH",
        kind="connection",
        text="End the watch of that tag, or all of this connection.",
        make=lambda tag=None: Unwatch(tag),
        arguments=(Argument(name="tag", type=Text(32, low=1), text="the tag of a WATCH, without @", required=False),),
    ),
)

_SECURITY = QUOTAS + SCRAM + ACLS + TOKENS

COMMANDS = Registry(
    _CONNECTION + _NODE + BROKERS + TOPICS + PARTITIONS + CONFIGS + FEATURES + PRODUCERS + _SECURITY + _CHANGES
)
