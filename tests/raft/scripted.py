"""A few replicas on one clock, driven line by line by a script, and what they say about it.

    cluster 3 [option=value …]      replicas 1, 2, 3 that have met; options of RaftConfig, or `kraft=1` (voters in 0-0)
    unmet 3                         before `start`: nobody has met node 3 yet, nor has it met anybody
    address 1 7501                  what its hello says of where brokers reach it (7401 and so on with kraft_version=1)
    meet 1 2                        they exchange hellos
    log, election, voters           prepare a disk (see there) before `start`, or before `restart 1`
    start                           start all that are down
    tick 300ms                      time passes, timers fire; messages stay where they are
    run 300ms                       time passes and everything flows: 1 ms a message, 1 ms a flush; says how it ends
    deliver 1 -> 2 [N]              hand over what is on that link now (the first N of it)
    drop 1 -> 2 / drop all          lose what is on that link, on all links now
    copy 1 -> 2 as NAME             remember the first message on that link; `replay NAME` hands it over again
    cut 1 -> 2 / cut 1 - 2          lose whatever goes there from now on (one way, both ways); `heal` ends all cuts
    flush 1                         node 1's disk is done with all it was given
    propose 1 [COUNT]               append a batch of COUNT records
    read 1                          ask for a read
    transfer 1 [TO] / shutdown 1    as the operator does
    crash 1 [silently] / restart 1 [wiped]    unflushed batches are lost; the links end (silently: nobody notices)
    lose 1 -> 2 / open 1 -> 2       node 1's link to node 2 ends, opens
    snapshot 1 5 / trim 1 5         node 1 has made a snapshot that ends at 5; has dropped what is before it
    send 2 -> 1 Fetch epoch=1 …     hand node 1 a request of our making (`v7 -> 1`: from visitor 7)
    random 1 0.5                    what chance says at node 1 from now on
    state                           how everybody is

Chance says 0.1 x (id - 1), so that node 1 stands first. Times: election 300 ms, fetch 600 ms, as by default.
"""

import heapq
import itertools
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
from msgspec.structs import replace

from yakt.batch import ControlRecord, Endpoint, KRaftVersion, LeaderChange, RecordBatch, Voter, Voters
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft import invariants, messages
from yakt.raft.core import KRAFT_VERSIONS, Election, LogState, RaftConfig, RaftCore
from yakt.raft.effects import (
    Append,
    ChangeLeader,
    Commit,
    ConfirmReads,
    Effect,
    InstallSnapshot,
    RememberVoter,
    SaveElection,
    Send,
    Truncate,
    WriteSnapshot,
)
from yakt.raft.events import (
    Event,
    Flushed,
    LinkLost,
    LinkOpened,
    LogTrimmed,
    PeerMet,
    Proposed,
    QuorumRecordsAsked,
    ReadAsked,
    Received,
    ShutdownAsked,
    SnapshotTaken,
    Source,
    TimerFired,
    TransferAsked,
    Visitor,
)
from yakt.raft.messages import (
    FetchRequest,
    FetchResponse,
    FetchSnapshotResponse,
    LogRange,
    Message,
    SnapshotRange,
)

CLUSTER_ID = "scripted"
SNAPSHOT_SIZE = 100


def directory(node: int, life: str = "a") -> Uuid:
    """The directory id of a node's first disk, or of a later one."""
    return Uuid(bytes([node % 256]) * 15 + life.encode())


def seal_control(records: tuple[ControlRecord, ...]) -> tuple[int, bytes]:
    return 0, b"control"


@attrs.define
class Disk:
    """What survives a crash: all but `batches` past the first `flushed`."""

    election: Election = attrs.Factory(Election)
    directories: dict[NodeId, Uuid] = attrs.Factory(dict)
    start: OffsetAndEpoch = attrs.field(factory=lambda: OffsetAndEpoch(Epoch(0), Offset(0)))
    batches: list[RecordBatch] = attrs.Factory(list)
    flushed: int = 0
    snapshots: dict[OffsetAndEpoch, int] = attrs.Factory(dict)
    life: str = "a"
    bootstrap: tuple[ControlRecord, ...] = ()

    def recover(self) -> LogState:
        epochs: list[OffsetAndEpoch] = []
        for batch in self.batches:
            if not epochs or batch.leader_epoch > epochs[-1].epoch:
                epochs.append(OffsetAndEpoch(batch.leader_epoch, batch.base_offset))
        control = [(Offset(-1), record) for record in self.bootstrap] + [
            (Offset(batch.base_offset + index), record)
            for batch in self.batches
            for index, record in enumerate(batch.control)
        ]
        return LogState(
            start_offset=self.start.offset,
            end_offset=self.batches[-1].end_offset if self.batches else self.start.offset,
            epochs=tuple(epochs),
            snapshots=tuple(sorted(self.snapshots.items())),
            control=tuple(control),
        )

    def read(self, wanted: LogRange) -> tuple[RecordBatch, ...]:
        return tuple(batch for batch in self.batches if wanted.start_offset < batch.end_offset <= wanted.end_offset)


@attrs.define
class Node:
    id: NodeId
    disk: Disk
    core: RaftCore | None = None
    is_down: bool = False
    chance: float = 0.0
    tickets: int = 0
    port: int | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return () if self.port is None else (Endpoint("CONTROLLER", "127.0.0.1", self.port),)


class ScriptedCluster:
    """See the module."""

    def __init__(self) -> None:
        self.now = Instant(0.0)
        self.nodes: dict[NodeId, Node] = {}
        self.config = RaftConfig()
        self.links: dict[tuple[Source, Source], deque[tuple[Message, int]]] = defaultdict(deque)
        self.cuts: set[tuple[Source, Source]] = set()
        self.copies: dict[str, tuple[Source, Source, Message, int]] = {}
        self.committed: dict[Offset, Epoch] = {}
        self.output: list[str] = []
        self.is_quiet = False
        self.arrivals: list[tuple[Instant, int, Callable[[], None]]] | None = None
        self.counter = itertools.count()
        self.voters: tuple[NodeId, ...] = ()

    # The script

    def run(self, script: str) -> str:
        """Carry out the lines; return what happened."""
        self.output = []
        for line in script.splitlines():
            words = line.split("#")[0].split()
            if words:
                getattr(self, f"do_{words[0]}")(*words[1:])
        return "\n".join(self.output)

    def do_cluster(self, size: str, *options: str) -> None:
        given = dict(option.split("=") for option in options)
        kraft = given.pop("kraft", "0")
        self.config = RaftConfig(**{name: type(getattr(self.config, name))(value) for name, value in given.items()})
        self.voters = tuple(NodeId(number) for number in range(1, int(size) + 1))
        bootstrap: tuple[ControlRecord, ...] = ()
        if kraft == "1":
            voters = tuple(Voter(voter, directory(voter), ()) for voter in self.voters)
            bootstrap = (KRaftVersion(1), Voters(voters))
        for voter in self.voters:
            disk = Disk(bootstrap=bootstrap)
            if kraft == "0":
                disk.directories = {other: directory(other) for other in self.voters if other != voter}
            port = 7400 + voter if self.config.kraft_version else None
            self.nodes[voter] = Node(voter, disk, chance=0.1 * (voter - 1), port=port)

    def do_unmet(self, number: str) -> None:
        for node in self.nodes.values():
            for other in [other for other in node.disk.directories if str(node.id) == number or str(other) == number]:
                del node.disk.directories[other]

    def do_meet(self, number: str, other: str) -> None:
        self._meet(self._node(number), self._node(other))

    def do_address(self, number: str, port: str) -> None:
        self._node(number).port = int(port)

    def do_start(self) -> None:
        """Start all that are down, at once; `log`, `election` and `voters` may have prepared their disks."""
        for node in self.nodes.values():
            if node.core is None:
                self._start(node)

    def do_log(self, node: str, *batches: str) -> None:
        """`log 1 1x2 3x1`: before a restart: two records of epoch 1, then one of epoch 3."""
        disk = self.nodes[NodeId(int(node))].disk
        disk.batches.clear()
        end = Offset(0)
        for batch in batches:
            epoch, count = batch.split("x")
            disk.batches.append(RecordBatch(end, Epoch(int(epoch)), int(count), 0, b""))
            end = disk.batches[-1].end_offset
        disk.flushed = len(disk.batches)

    def do_election(self, node: str, epoch: str, *options: str) -> None:
        """`election 1 3 leader=2 voted=2`: before a restart: what quorum-state says."""
        given = dict(option.split("=") for option in options)
        leader = NodeId(int(given["leader"])) if "leader" in given else None
        voted = ReplicaKey(NodeId(int(given["voted"])), directory(int(given["voted"]))) if "voted" in given else None
        self.nodes[NodeId(int(node))].disk.election = Election(Epoch(int(epoch)), leader, voted)

    def do_voters(self, node: str, *voters: str) -> None:
        """`voters 1 1 2`: append a VotersRecord to node 1's disk, before a restart."""
        disk = self.nodes[NodeId(int(node))].disk
        last = disk.batches[-1]
        record = Voters(tuple(Voter(NodeId(int(voter)), directory(int(voter)), ()) for voter in voters))
        disk.batches.append(RecordBatch(last.end_offset, last.leader_epoch, 1, 0, b"", (record,)))
        disk.flushed = len(disk.batches)

    def do_tick(self, duration: str) -> None:
        end = Instant(self.now + _seconds(duration))
        while True:
            due = [(node.core.deadline, node.id) for node in self.nodes.values() if node.core is not None]
            first, number = min(due)
            if first > end:
                break
            self.now = max(self.now, first)
            self._step(self.nodes[number], TimerFired())
        self.now = end

    def do_run(self, duration: str) -> None:
        end = Instant(self.now + _seconds(duration))
        self.arrivals = []
        self.is_quiet = True
        for (source, to), queue in list(self.links.items()):
            while queue:
                self._arrive(source, to, *queue.popleft())
        for node in self.nodes.values():
            self._flush_soon(node)
        while True:
            due = [(node.core.deadline, node.id) for node in self.nodes.values() if node.core is not None]
            first, number = min(due)
            if self.arrivals and self.arrivals[0][0] <= first:
                if self.arrivals[0][0] > end:
                    break
                self.now, _, act = heapq.heappop(self.arrivals)
                act()
            elif first > end:
                break
            else:
                self.now = max(self.now, first)
                self._step(self.nodes[number], TimerFired())
        self.now = end
        arrivals, self.arrivals = self.arrivals, None
        for _, _, act in sorted(arrivals, key=lambda arrival: arrival[:2]):
            act()  # back onto the links, for the lines that follow
        self.is_quiet = False
        self.do_state()

    def do_deliver(self, source: str, _: str, to: str, count: str = "1000") -> None:
        queue = self.links[_source(source), _source(to)]
        if not queue:
            self._say(f"(nothing on the link {source} -> {to})")
        for _unused in range(min(int(count), len(queue))):
            message, correlation = queue.popleft()
            self._hand_over(_source(source), _source(to), message, correlation)

    def do_drop(self, source: str, _: str = "", to: str = "") -> None:
        if source == "all":
            self.links.clear()
        else:
            self.links[_source(source), _source(to)].clear()

    def do_copy(self, source: str, _: str, to: str, __: str, name: str) -> None:
        message, correlation = self.links[_source(source), _source(to)][0]
        self.copies[name] = (_source(source), _source(to), message, correlation)

    def do_replay(self, name: str) -> None:
        self._hand_over(*self.copies[name])

    def do_cut(self, source: str, arrow: str, to: str) -> None:
        self.cuts.add((_source(source), _source(to)))
        if arrow == "-":
            self.cuts.add((_source(to), _source(source)))

    def do_heal(self) -> None:
        self.cuts.clear()

    def do_flush(self, number: str) -> None:
        self._flush(self._node(number))

    def do_propose(self, number: str, count: str = "1") -> None:
        node = self._node(number)
        assert node.core is not None
        self._step(node, Proposed(node.core.log_end_offset, int(count), 0, b""))

    def do_read(self, number: str) -> None:
        node = self._node(number)
        node.tickets += 1
        self._step(node, ReadAsked(node.tickets))

    def do_transfer(self, number: str, to: str | None = None) -> None:
        self._step(self._node(number), TransferAsked(None if to is None else NodeId(int(to))))

    def do_shutdown(self, number: str) -> None:
        self._step(self._node(number), ShutdownAsked())

    def do_crash(self, number: str, how: str = "") -> None:
        node = self._node(number)
        node.core = None
        node.is_down = True
        del node.disk.batches[node.disk.flushed :]
        for link, queue in self.links.items():
            if node.id in link:
                queue.clear()
        if not how:
            for other in self._up():
                self._step(other, LinkLost(node.id))

    def do_restart(self, number: str, how: str = "") -> None:
        node = self._node(number)
        if how == "wiped":
            node.disk = Disk(life=chr(ord(node.disk.life) + 1))
        others = self._up(but=node)
        self._start(node)
        for other in others:
            self._meet(node, other)

    def do_lose(self, source: str, _: str, to: str) -> None:
        self._step(self._node(source), LinkLost(NodeId(int(to))))

    def do_open(self, source: str, _: str, to: str) -> None:
        node, other = self._node(source), self._node(to)
        assert other.core is not None
        self._step(node, LinkOpened(other.id, other.core.counts(self._key(node))))

    def do_snapshot(self, number: str, offset: str) -> None:
        node = self._node(number)
        snapshot = self._point(node, Offset(int(offset)))
        node.disk.snapshots[snapshot] = SNAPSHOT_SIZE
        self._step(node, SnapshotTaken(snapshot, SNAPSHOT_SIZE))

    def do_trim(self, number: str, offset: str) -> None:
        node = self._node(number)
        disk = node.disk
        oldest = self._point(node, Offset(int(offset)))
        disk.start = oldest
        kept = [batch for batch in disk.batches if batch.base_offset >= oldest.offset]
        disk.flushed -= len(disk.batches) - len(kept)
        disk.batches = kept
        disk.snapshots = {known: size for known, size in disk.snapshots.items() if known.offset >= oldest.offset}
        self._step(node, LogTrimmed(oldest))

    def do_send(self, source: str, _: str, to: str, kind: str, *fields: str) -> None:
        given: dict[str, Any] = {"cluster_id": None} if kind != "ReadIndex" else {}
        given |= {name: _value(name, text) for name, text in (field.split("=") for field in fields)}
        message_type = getattr(messages, f"{kind}Request")
        if message_type is FetchRequest:
            defaults = {"replica": None, "last_fetched_epoch": 0, "max_wait_ms": 0, "max_bytes": 0}
            given = {**defaults, **given}
        self._hand_over(_source(source), _source(to), message_type(**given), 0)

    def do_random(self, number: str, chance: str) -> None:
        self._node(number).chance = float(chance)

    def do_state(self) -> None:
        for node in self.nodes.values():
            if node.core is None:
                self.output.append(f"{node.id} down, log to {self._end(node)}")
                continue
            quorum = node.core.quorum
            leader = "" if node.core.is_leader or quorum.leader_id is None else f" of {quorum.leader_id}"
            role = quorum.role.name if quorum.is_voter else f"observer, {quorum.role.name}"
            log = quorum.log
            start = f"{log.start_offset}.." if log.start_offset else ""
            durable = "" if log.flushed_end == log.end_offset else f" (durable {log.flushed_end})"
            self.output.append(
                f"{node.id} {role}{leader}, epoch {quorum.epoch}, log {start}{_point(log.end)}{durable},"
                f" high watermark {quorum.high_watermark}"
            )

    # The nodes

    def _node(self, number: str) -> Node:
        return self.nodes[NodeId(int(number))]

    def _up(self, but: Node | None = None) -> list[Node]:
        return [node for node in self.nodes.values() if node.core is not None and node is not but]

    def _down(self) -> list[Source]:
        """Nobody listens there; while all start at once, everybody will."""
        return [node.id for node in self.nodes.values() if node.is_down]

    def _key(self, node: Node) -> ReplicaKey:
        return ReplicaKey(node.id, directory(node.id, node.disk.life))

    def _start(self, node: Node) -> None:
        node.tickets = 0
        node.is_down = False
        node.core = RaftCore(
            me=self._key(node),
            voters=self.voters,
            config=self.config,
            election=node.disk.election,
            log=node.disk.recover(),
            directories=node.disk.directories,
            random=lambda: node.chance,
            seal_control=seal_control,
            cluster_id=CLUSTER_ID,
            endpoints=node.endpoints,
        )
        effects = node.core.start(self.now)
        self._say(f"{node.id} {node.core.role_name}, epoch {node.core.epoch}")
        self._carry_out(node, effects)

    def _meet(self, node: Node, other: Node) -> None:
        for one, two in ((node, other), (other, node)):
            self._step(one, PeerMet(self._key(two), two.endpoints, KRAFT_VERSIONS))
        for one, two in ((node, other), (other, node)):
            assert two.core is not None
            self._step(one, LinkOpened(two.id, two.core.counts(self._key(one))))

    def _end(self, node: Node) -> str:
        disk = node.disk
        if not disk.batches:
            return _point(disk.start)
        return _point(OffsetAndEpoch(disk.batches[-1].leader_epoch, disk.batches[-1].end_offset))

    def _point(self, node: Node, offset: Offset) -> OffsetAndEpoch:
        epoch = next(batch.leader_epoch for batch in node.disk.batches if batch.end_offset >= offset)
        return OffsetAndEpoch(epoch, offset)

    def _step(self, node: Node, event: Event) -> None:
        if node.core is None:
            return
        before = (node.core.quorum.role.name, node.core.epoch)
        effects = node.core.step(self.now, event)
        after = (node.core.quorum.role.name, node.core.epoch)
        if effects or before != after:
            self._say(f"{node.id} {after[0]}, epoch {after[1]}")
        self._carry_out(node, effects)
        if node.core is not None and node.core.owes_records:
            self._step(node, QuorumRecordsAsked())

    def _carry_out(self, node: Node, effects: list[Effect]) -> None:
        disk = node.disk
        core = node.core
        assert core is not None
        # The batch of a Proposed is in the shell's memory before its Send leaves, which comes before its Append.
        ahead = [batch for effect in effects if isinstance(effect, Append) for batch in effect.batches]
        for effect in effects:
            match effect:
                case SaveElection(epoch=epoch, leader_id=leader_id, voted=voted):
                    assert epoch >= disk.election.epoch
                    disk.election = Election(epoch, leader_id, voted)
                case RememberVoter(voter=voter):
                    disk.directories[voter.id] = voter.directory_id
                case Append(batches=batches):
                    disk.batches.extend(batches)
                    if self.arrivals is not None:
                        self._flush_soon(node)
                case Truncate(end_offset=end_offset):
                    disk.batches = [batch for batch in disk.batches if batch.end_offset <= end_offset]
                    disk.flushed = min(disk.flushed, len(disk.batches))
                case Send(to=to, message=message, correlation=correlation):
                    message = self._fill(disk, ahead, message)
                    effect = Send(to, message, correlation)
                    self._post(node, to, message, correlation)
                case Commit(high_watermark=high_watermark):
                    self._check_commit(node, high_watermark)
                case InstallSnapshot(snapshot_id=snapshot_id):
                    disk.start = snapshot_id
                    disk.batches, disk.flushed, disk.snapshots = [], 0, {snapshot_id: SNAPSHOT_SIZE}
                case WriteSnapshot() | ConfirmReads() | ChangeLeader():
                    pass
            self._say(f"  {describe(effect)}")
        invariants.check(core.quorum)

    def _fill(self, disk: Disk, ahead: list[RecordBatch], message: Message) -> Message:
        if isinstance(message, FetchResponse) and isinstance(message.records, LogRange):
            wanted = message.records
            have = disk.read(wanted)
            have += tuple(
                batch
                for batch in ahead
                if batch not in have and wanted.start_offset < batch.end_offset <= wanted.end_offset
            )
            if wanted.max_bytes == 1:
                have = have[:1]
            assert have, f"nothing to send of {wanted}"
            return replace(message, records=have)
        if isinstance(message, FetchSnapshotResponse) and isinstance(message.data, SnapshotRange):
            wanted_bytes = message.data
            size = disk.snapshots[wanted_bytes.snapshot_id]
            return attrs.evolve(message, data=b"s" * min(size - wanted_bytes.position, wanted_bytes.max_bytes))
        return message

    def _check_commit(self, node: Node, high_watermark: Offset) -> None:
        """One history for all: what is committed once stays, and is durable on a majority."""
        durable = 0
        for other in self.nodes.values():
            flushed = other.disk.batches[: other.disk.flushed]
            durable += (flushed[-1].end_offset if flushed else other.disk.start.offset) >= high_watermark
        assert durable > len(self.voters) // 2, f"{high_watermark} is committed and not on a majority"
        for batch in node.disk.batches:
            if batch.end_offset <= high_watermark:
                assert self.committed.setdefault(batch.base_offset, batch.leader_epoch) == batch.leader_epoch

    def _flush_soon(self, node: Node) -> None:
        if self.arrivals is not None and node.disk.flushed < len(node.disk.batches):
            heapq.heappush(self.arrivals, (Instant(self.now + 0.001), next(self.counter), lambda: self._flush(node)))

    def _flush(self, node: Node) -> None:
        if node.core is not None and node.disk.flushed < len(node.disk.batches):
            node.disk.flushed = len(node.disk.batches)
            self._step(node, Flushed(node.disk.batches[-1].end_offset))

    # The links

    def _post(self, node: Node, to: Source, message: Message, correlation: int) -> None:
        if (node.id, to) in self.cuts or to in self._down():
            return
        if self.arrivals is not None:
            self._arrive(node.id, to, message, correlation)
        else:
            self.links[node.id, to].append((message, correlation))

    def _arrive(self, source: Source, to: Source, message: Message, correlation: int) -> None:
        def act() -> None:
            if self.arrivals is None:
                self.links[source, to].append((message, correlation))
            else:
                self._hand_over(source, to, message, correlation)

        assert self.arrivals is not None
        heapq.heappush(self.arrivals, (Instant(self.now + 0.001), next(self.counter), act))

    def _hand_over(self, source: Source, to: Source, message: Message, correlation: int) -> None:
        if isinstance(to, int) and (source, to) not in self.cuts:
            self._step(self.nodes[to], Received(source, message, correlation))

    def _say(self, line: str) -> None:
        if not self.is_quiet:
            self.output.append(line)


def _seconds(text: str) -> float:
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text[:-1])


def _source(text: str) -> Source:
    return Visitor(int(text[1:])) if text.startswith("v") else NodeId(int(text))


def _value(name: str, text: str) -> Any:
    if name in ("candidate", "voter", "replica"):
        return ReplicaKey(
            NodeId(int(text.rstrip("abc"))),
            directory(max(int(text.rstrip("abc")), 0), text.lstrip("-0123456789") or "a"),
        )
    if name == "snapshot_id":
        offset, epoch = text.split("@")
        return OffsetAndEpoch(Epoch(int(epoch)), Offset(int(offset)))
    if name == "preferred_successors":
        return tuple(NodeId(int(node)) for node in text.split(",") if node)
    if name == "pre_vote":
        return text == "True"
    if name == "cluster_id":
        return text
    return int(text)


def _point(point: OffsetAndEpoch) -> str:
    return f"{point.offset}@{point.epoch}"


def describe(value: object) -> str:
    """An effect or what is in it, with all that goes without saying left out."""
    match value:
        case Send(to=to, message=message):
            return f"Send({describe(to)}, {describe(message)})"
        case OffsetAndEpoch():
            return _point(value)
        case ReplicaKey(id=id, directory_id=directory_id):
            life = directory_id[-1:].decode()
            return f"{id}" if life == "a" else f"{id}{life}"
        case Visitor(number=number):
            return f"v{number}"
        case RecordBatch():
            control = "".join(f" {describe(record)}" for record in value.control)
            return f"{value.base_offset}..{value.end_offset}@{value.leader_epoch}{control}"
        case LeaderChange(leader_id=leader_id, granting_voters=granting):
            return f"LeaderChange({leader_id} by {describe(granting)})"
        case Voters(voters=voters):
            ports = {voter.id: voter.endpoints[0].port for voter in voters if voter.endpoints}
            return (
                f"Voters({','.join(f'{voter.id}:{ports[voter.id]}' if ports else str(voter.id) for voter in voters)})"
            )
        case messages.Error():
            return value.name
        case bytes():
            return f"<{len(value)} bytes>"
        case tuple() | list():
            return "[" + ", ".join(map(describe, value)) + "]"
    if attrs.has(type(value)) or isinstance(value, msgspec.Struct):
        shown = []
        if isinstance(value, FetchRequest):
            shown.append(f"log={value.fetch_offset}@{value.last_fetched_epoch}")
        for name, default in _fields(type(value)):
            given = getattr(value, name)
            if name in ("fetch_offset", "last_fetched_epoch"):
                continue
            if name in ("cluster_id", "max_bytes", "voter") and not isinstance(value, RememberVoter):
                continue
            if given is None or (default not in (attrs.NOTHING, msgspec.NODEFAULT) and given == default):
                continue
            shown.append(f"{name}={describe(given)}")
        return f"{type(value).__name__}({', '.join(shown)})"
    return str(value)


def _fields(cls: type) -> list[tuple[str, object]]:
    """Names and defaults of an event, effect or message."""
    if attrs.has(cls):
        return [(field.name, field.default) for field in attrs.fields(cls)]
    return [(field.name, field.default) for field in msgspec.structs.fields(cls)]
