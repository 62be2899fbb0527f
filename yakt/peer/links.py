"""The links of one node to the other members: dials each, accepts each, and hands over what they say.

Theory of operation: a pair of nodes has two connections. Each node sends its requests over the one it dialled and hears
their answers there; over the one it accepted it hears the other's requests and answers them. So who dials whom is
decided by nobody, and a lost connection loses just the questions of one side. A dialler that fails waits, longer each
time and by chance, but tries at once when the other side has just reached us. A member has at most one connection each
way: a new one takes the place of the old, which is then most likely half open.

Whom a voter's id belongs to (directory ids) is the core's to say: `PeerEvents.met` asks it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import attrs
import structlog
import trio

from yakt.errors import RemoteProtocolError
from yakt.ids import Instant, NodeId, ReplicaKey
from yakt.peer import codec
from yakt.peer.complaints import Complaints
from yakt.peer.connection import PATIENCE, Connection, Patience, receive_hello, receive_welcome, send_hello
from yakt.peer.direct import keep_alive, remote_address
from yakt.peer.hello import judge_hello, judge_welcome
from yakt.peer.messages import (
    Addresses,
    ForwardRequest,
    ForwardResponse,
    Identity,
    PeerMessage,
    Ping,
    Pong,
    Refusal,
    Welcome,
)
from yakt.raft.messages import Message, Request

logger = structlog.get_logger()

Dial: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]
"""Open a stream to one member. Raises OSError if it cannot be reached."""

BACK_OFF_MIN_S = 0.02
BACK_OFF_MAX_S = 1.0
HANDSHAKES_MAX = 64
"""Accepted connections whose hello is not done yet, in all …"""
HANDSHAKES_PER_HOST_MAX = 16
"""… and from one host."""
FORWARDED_MAX = 65536
"""Requests forwarded to one member whose answer is still wanted; beyond, the oldest's is not."""


class PeerEvents(Protocol):
    """What the links tell the node. Called from their tasks; must not wait. `turn_ended` closes each group of calls."""

    def met(self, peer: Identity) -> bool:
        """A hello said who `peer` is; return whether it counts as a voter here."""

    def link_opened(self, peer: NodeId, counts_us: bool) -> None:
        """Requests to `peer` can be sent; `counts_us`: it takes us for a voter."""

    def link_lost(self, peer: NodeId) -> None:
        """Requests sent to `peer` get no answer any more, forwarded commands included."""

    def received(self, source: NodeId, message: Message, correlation: int) -> None:
        """A request of `source`, or its answer to one of ours."""

    def forwarded(self, source: NodeId, request: ForwardRequest, reply: Callable[[ForwardResponse], None]) -> None:
        """Commands that `source` forwards to us; `reply` is called once, and does nothing if the link has gone."""

    def forward_answered(self, source: NodeId, response: ForwardResponse, correlation: int) -> None:
        """The answer to `Links.forward`."""

    def turn_ended(self) -> None:
        """That was all for now."""


@attrs.frozen
class LinkStatistics:
    """How the links with one member stand. `protocol` 0: nothing is dialled through at present."""

    peer: NodeId
    dialled: bool
    accepted: bool
    protocol: int
    trouble: str | None
    """Why we have no connection of our own to it."""
    dropped: int
    """Messages that the present connections had no room for."""


@attrs.define
class _Member:
    dial: Dial
    dialled: Connection | None = None
    accepted: Connection | None = None
    forwarded: dict[int, int] = attrs.field(factory=dict)
    """How many lines each request has that was forwarded over `dialled` and not answered, by correlation."""
    known: Identity | None = None
    """As its last hello said."""
    trouble: str | None = None
    reached_us: trio.Event = attrs.field(factory=trio.Event)
    """Set when it dials us: it is up, so it is time to dial it."""

    @property
    def counted(self) -> ReplicaKey | None:
        """The replica we speak with that counts as a voter, if any."""
        for link in (self.accepted, self.dialled):
            if link is not None and link.counts_peer:
                return link.peer.key
        return None


class _Handshakes:
    """How many connections have not said who they are, by host."""

    def __init__(self) -> None:
        self._by_host: Counter[str] = Counter()

    @contextmanager
    def one_more(self, host: str) -> Iterator[None]:
        """While its hello is awaited. Raises RemoteProtocolError if there are too many already."""
        if self._by_host.total() >= HANDSHAKES_MAX or self._by_host[host] >= HANDSHAKES_PER_HOST_MAX:
            raise RemoteProtocolError("too many connections that have not said hello")
        self._by_host[host] += 1
        try:
            yield
        finally:
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]


def dial_tcp(host: str, port: int) -> Dial:
    """Dial a member at an address. Its name is looked up anew each time."""

    async def dial() -> trio.abc.Stream:
        return await trio.open_tcp_stream(host, port)

    return dial


class Links:
    """All links of one node. `members`: the other voters, each with a way to dial it."""

    def __init__(
        self,
        me: Identity,
        members: Mapping[NodeId, Dial],
        events: PeerEvents,
        *,
        random: Callable[[], float],
        patience: Patience = PATIENCE,
    ) -> None:
        self._me = me
        self._members = {node: _Member(dial) for node, dial in members.items()}
        self._events = events
        self._random = random
        self._patience = patience
        self._complaints = Complaints()
        self._handshakes = _Handshakes()

    def send(self, to: NodeId, message: Message, correlation: int) -> bool:
        """Send a message of the core, its ranges filled in; False if it was dropped.

        A response goes to the connection its request came on, and nowhere if that has gone.
        """
        member = self._members.get(to)
        if member is None:
            return False
        if isinstance(message, Request):
            return member.dialled is not None and member.dialled.ask(message, correlation)
        return member.accepted is not None and member.accepted.answer(message, correlation)

    def forward(self, to: NodeId, request: ForwardRequest, correlation: int) -> bool:
        """Send commands to the leader. False: not sent. Else `forward_answered` or `link_lost` follows.

        The lines of one request are at most `codec.FORWARD_LINES_MAX`, and `codec.FORWARD_SIZE_MAX` bytes, with
        4 counted for each line besides its own. Raises ValueError for more.
        """
        if len(request.lines) > codec.FORWARD_LINES_MAX:
            raise ValueError(f"{len(request.lines)} lines in one request, at most {codec.FORWARD_LINES_MAX}")
        size = sum(map(len, request.lines)) + 4 * len(request.lines)
        if size > codec.FORWARD_SIZE_MAX:
            raise ValueError(f"lines of {size} bytes in one request, at most {codec.FORWARD_SIZE_MAX}")
        member = self._members.get(to)
        if member is None or member.dialled is None or not member.dialled.ask(request, correlation):
            return False
        member.forwarded[correlation] = len(request.lines)
        if len(member.forwarded) > FORWARDED_MAX:
            del member.forwarded[next(iter(member.forwarded))]
        return True

    def addresses(self, node: NodeId) -> Addresses | None:
        """Where else `node` can be reached, as its last hello said; None if it was never met."""
        known = self.identity(node)
        return known.addresses if known is not None else None

    def identity(self, node: NodeId) -> Identity | None:
        """Who `node` is, as its last hello said; None if it was never met."""
        if node == self._me.node_id:
            return self._me
        member = self._members.get(node)
        return member.known if member is not None else None

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """How each member's links stand, by node id."""
        return tuple(
            LinkStatistics(
                peer=node,
                dialled=member.dialled is not None,
                accepted=member.accepted is not None,
                protocol=member.dialled.protocol if member.dialled is not None else 0,
                trouble=member.trouble,
                dropped=sum(link.dropped for link in (member.dialled, member.accepted) if link is not None),
            )
            for node, member in sorted(self._members.items())
        )

    async def run(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
        """Dial every member and serve those who dial us, until cancelled."""
        async with trio.open_nursery() as nursery:
            for node in self._members:
                nursery.start_soon(self._keep_dialling, node)
            await trio.serve_listeners(self._serve, list(listeners), handler_nursery=nursery)

    # Dialling

    async def _keep_dialling(self, node: NodeId) -> None:
        member = self._members[node]
        failures = 0
        while True:
            member.reached_us = trio.Event()
            started = trio.current_time()
            await self._dial_once(node, member)
            lived = trio.current_time() - started
            # A link that broke as soon as it stood is a failure too, or we would dial in a circle.
            failures = 0 if member.known is not None and lived >= BACK_OFF_MAX_S else failures + 1
            with trio.move_on_after(back_off(failures, self._random())):
                await member.reached_us.wait()

    async def _dial_once(self, node: NodeId, member: _Member) -> None:
        """Dial, and speak until it ends; afterwards `trouble` says why."""
        stream: trio.abc.Stream | None = None
        try:
            with trio.fail_after(self._patience.hello_s):
                stream = await member.dial()
                keep_alive(stream)
                await send_hello(stream, self._me)
                welcome = await receive_welcome(stream)
            protocol = judge_welcome(self._me, welcome, node)
        except trio.TooSlowError:
            self._unreachable(node, member, f"no answer for {self._patience.hello_s:g} s")
        except (OSError, trio.BrokenResourceError, RemoteProtocolError) as exc:
            self._unreachable(node, member, describe(exc))
        else:
            await self._speak_as_dialler(stream, member, welcome, protocol)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    def _unreachable(self, node: NodeId, member: _Member, why: str) -> None:
        # Once for each new reason: a member that is down for a day costs a line, not one a second.
        if member.trouble != why:
            member.trouble = why
            logger.warning("peer cannot be reached", peer=node, reason=why)

    async def _speak_as_dialler(
        self, stream: trio.abc.Stream, member: _Member, welcome: Welcome, protocol: int
    ) -> None:
        peer = welcome.identity
        counts = self._meet(member, peer)
        connection = self._connection(stream, peer, protocol, dialled=True, counts_peer=counts)
        member.dialled = connection
        member.trouble = None
        self._say(logger.info, f"dialled {peer.node_id}", "peer reached", peer=peer.node_id, protocol=protocol)
        self._events.link_opened(peer.node_id, welcome.counts_you)
        self._events.turn_ended()
        try:
            member.trouble = await connection.run()
        finally:
            member.dialled = None
            member.forwarded.clear()
            member.reached_us = trio.Event()  # that it dialled us while the link stood says nothing about now
        self._say(logger.warning, f"lost {peer.node_id}", "peer lost", peer=peer.node_id, reason=member.trouble)
        self._events.link_lost(peer.node_id)
        self._events.turn_ended()

    # Accepting

    async def _serve(self, stream: trio.abc.Stream) -> None:
        """Hear who dials us, and speak with it if it is one of us."""
        host, address = remote_address(stream)
        async with stream:
            keep_alive(stream)
            try:
                with self._handshakes.one_more(host):
                    connection = await self._greet(stream)
            except trio.TooSlowError:
                self._refuse(host, address, f"no hello within {self._patience.hello_s:g} s")
            except (trio.BrokenResourceError, RemoteProtocolError) as exc:
                self._refuse(host, address, describe(exc))
            else:
                why = await connection.run()
                member = self._members[connection.node]
                if member.accepted is connection:
                    member.accepted = None
                self._say(logger.info, f"left {connection.node}", "peer left", peer=connection.node, reason=why)

    async def _greet(self, stream: trio.abc.Stream) -> Connection:
        """Exchange hellos as acceptor. Raises RemoteProtocolError for whoever is refused, told so if it can be."""
        counts = False
        with trio.fail_after(self._patience.hello_s):
            hello = await receive_hello(stream)
            member = self._members.get(hello.node_id)
            verdict = judge_hello(self._me, hello, self._members.keys(), member.counted if member is not None else None)
            if member is not None and verdict.refusal is Refusal.NONE:
                counts = self._meet(member, hello)
            await send_hello(
                stream,
                Welcome(
                    refusal=verdict.refusal,
                    message=verdict.message,
                    protocol=verdict.protocol,
                    counts_you=counts,
                    identity=self._me,
                ),
            )
        if member is None or verdict.refusal is not Refusal.NONE:
            raise RemoteProtocolError(verdict.message)
        connection = self._connection(stream, hello, verdict.protocol, dialled=False, counts_peer=counts)
        if member.accepted is not None:
            member.accepted.close("it dialled anew")
        member.accepted = connection
        member.reached_us.set()
        return connection

    def _refuse(self, host: str, address: str, why: str) -> None:
        self._say(logger.warning, host, "peer connection refused", address=address, reason=why)

    # Both

    def _meet(self, member: _Member, peer: Identity) -> bool:
        """Learn who a hello comes from; return whether it counts as a voter."""
        member.known = peer
        counts = self._events.met(peer)
        self._events.turn_ended()
        return counts

    def _connection(
        self, stream: trio.abc.Stream, peer: Identity, protocol: int, *, dialled: bool, counts_peer: bool
    ) -> Connection:
        return Connection(
            stream,
            peer,
            protocol,
            dialled=dialled,
            counts_peer=counts_peer,
            patience=self._patience,
            receive=self._receive,
            turn_ended=self._events.turn_ended,
        )

    def _receive(self, connection: Connection, message: PeerMessage, correlation: int) -> None:
        match message:
            case ForwardRequest():

                def reply(response: ForwardResponse) -> None:
                    if not connection.answer(response, correlation):
                        # Raft asks again, a forwarded command must not: better an outcome unknown now than a long wait.
                        connection.close("it does not take the answers to what it forwards")

                self._events.forwarded(connection.node, message, reply)
            case ForwardResponse():
                self._take_forward_answer(connection.node, message, correlation)
            case Ping() | Pong():
                raise AssertionError("the connection keeps these to itself")
            case _:
                self._events.received(connection.node, message, correlation)

    def _take_forward_answer(self, source: NodeId, response: ForwardResponse, correlation: int) -> None:
        lines = self._members[source].forwarded.pop(correlation, None)
        if lines is None:
            return
        if lines != len(response.results):
            raise RemoteProtocolError(f"{len(response.results)} results for {lines} forwarded lines")
        self._events.forward_answered(source, response, correlation)

    def _say(self, log: Callable[..., object], about: str, event: str, **details: object) -> None:
        """Log one line about somebody, unless there was one just now."""
        suppressed = self._complaints.admit(about, Instant(trio.current_time()))
        if suppressed is not None:
            log(event, **details, **({"suppressed": suppressed} if suppressed else {}))


def back_off(failures: int, chance: float) -> float:
    """Seconds to wait before dialling again: doubled with each failure in a row, half of it by `chance`, in [0, 1)."""
    return min(BACK_OFF_MAX_S, BACK_OFF_MIN_S * (1 << min(failures, 16))) * (1 + chance) / 2


def describe(exc: Exception) -> str:
    """The cause rather than the wrapper, in one line."""
    cause = exc.__cause__ if isinstance(exc, trio.BrokenResourceError) else None
    return str(cause or exc) or type(exc).__name__
