"""All clients of the line port in one task, over an epoll of its own; a client is a value, a watch has a task.

Theory of operation. A pass takes what epoll reports, within a budget: each ready client's bytes go through its
`Conversation`, what it has asked so far becomes one `Batch`, and the batch's asks one submission; the pass ends with
`service.end_turn()`. A client has one batch under way; what it sends meanwhile waits, up to the protocol's bounds, and
then is not read any more. Answers are called back inside a turn: formatted piece by piece, sent without waiting; what
the kernel does not take stays with the client, and while something stays, nothing more of its reply is formatted. So a
client costs at most its waiting lines, one piece of a reply, and references to results.

Why not a task a client: hot-path.md §3 (a third more CPU at 128 connections, twice as much at 1000).
"""

import heapq
import os
import select
import socket
from collections.abc import Sequence

import attrs
import structlog
import trio

from yakt.errors import RefusedError
from yakt.line.asks import ConnectionAsk, Hello, Quit, Unwatch, Watch, ZooKeeperWord
from yakt.line.batch import Batch, Reply, brief, fill, pieces
from yakt.line.connection import NEVER, Connection
from yakt.line.gate import Gate, Limits, ListeningSocket
from yakt.line.replies import Form
from yakt.line.watches import Watches
from yakt.line.words import LINE_SIZE_MAX
from yakt.line.zookeeper import Traffic as ZooKeeperTraffic
from yakt.line.zookeeper import format_mntr, format_ruok, format_srvr
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked
from yakt.metadata.questions import ShowHealth, ShowStatus
from yakt.node.service import MetadataService, Traffic

logger = structlog.get_logger()


@attrs.frozen
class NodeInfo:
    """What HELLO tells beside STATUS. `server`: name and version of the program, `yakt/0.1.0`."""

    node: int
    cluster: str
    server: str


async def serve(
    service: MetadataService,
    sockets: Sequence[ListeningSocket],
    info: NodeInfo,
    limits: Limits | None = None,
    traffic: Traffic | None = None,
) -> None:
    """Serve all clients that come to these sockets until cancelled. The sockets are taken over and closed.

    `traffic` is counted up.
    """
    async with trio.open_nursery() as nursery:
        listener = _Listener(service, info, limits or Limits(), nursery, traffic or Traffic())
        try:
            for sock in sockets:
                listener.listen(sock)
            await listener.run()
        finally:
            listener.close()


class _Listener:
    def __init__(
        self, service: MetadataService, info: NodeInfo, limits: Limits, nursery: trio.Nursery, traffic: Traffic
    ) -> None:
        self._traffic = traffic
        self._service = service
        self._info = info
        self._limits = limits
        self._watches = Watches(service, nursery, self._tell)
        self._epoll = select.epoll()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wakeup, select.EPOLLIN)
        self._gate = Gate(self._epoll, self._limits, self._welcome)
        self._connections: dict[int, Connection] = {}
        self._ready: dict[Connection, None] = {}
        """To be looked at in the next pass, whatever their sockets say."""
        self._in_pass = False
        self._deadlines: list[tuple[float, int, Connection]] = []
        self._serial = 0
        self._received = 0
        self._sent = 0
        self._outstanding = 0

    def listen(self, sock: ListeningSocket) -> None:
        """Take clients from this socket, and take it over."""
        self._gate.open(sock)

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        self._gate.close()
        os.close(self._wakeup)
        self._epoll.close()

    # --- passes -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            if self._ready:
                await trio.lowlevel.checkpoint()
            else:
                deadline = min(self._deadlines[0][0] if self._deadlines else NEVER, self._gate.reopen_at)
                if deadline < NEVER:
                    with trio.move_on_at(deadline):
                        await trio.lowlevel.wait_readable(self._epoll.fileno())
                else:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._in_pass = True
            try:
                self._pass()
            finally:
                self._in_pass = False

    def _pass(self) -> None:
        """One turn's work: read, submit, and let the service decide."""
        if self._deadlines and self._deadlines[0][0] <= trio.current_time():
            self._expire()
        if self._gate.reopen_at <= trio.current_time():
            self._gate.reopen()
        ready, self._ready = self._ready, {}
        for connection in ready:
            if connection.events:
                self._send(connection, connection.take_events())
            elif connection.reply is not None:
                self._pump(connection)
            self._go_on(connection)
        size = 0
        for fd, mask in self._epoll.poll(0, self._limits.pass_events):
            known = self._connections.get(fd)
            if known is not None:
                size += self._on_event(known, mask)
            elif fd == self._wakeup:
                os.eventfd_read(self._wakeup)
            else:
                self._gate.let_in(fd)
            if size >= self._limits.pass_size:
                break  # whoever is still ready is reported again
        self._service.end_turn()

    def _look_again(self, connection: Connection) -> None:
        """Have a connection looked at in a pass; wake one if none runs."""
        if not self._ready and not self._in_pass:
            os.eventfd_write(self._wakeup, 1)
        self._ready[connection] = None

    def _welcome(self, sock: socket.socket, host: str, address: str) -> None:
        """A client that was let in."""
        connection = Connection(sock, host, address)
        self._connections[connection.fd] = connection
        self._traffic.connections = len(self._connections)
        connection.mask = select.EPOLLIN
        self._epoll.register(connection.fd, connection.mask)

    # --- clients speak ------------------------------------------------------------------------------------------------

    def _on_event(self, connection: Connection, mask: int) -> int:
        """Do what epoll asks for; the number of bytes read."""
        size = 0
        try:
            if mask & select.EPOLLOUT and connection.outbox:
                if connection.flush():
                    connection.deadline = trio.current_time() + self._limits.stall
                if not connection.outbox:
                    self._pump(connection)
            if mask & select.EPOLLIN and not connection.closed:
                size = self._read(connection)
            elif mask & (select.EPOLLHUP | select.EPOLLERR):
                self._drop(connection)
        except OSError:
            self._drop(connection)
        if not connection.closed:
            self._go_on(connection)
        return size

    def _read(self, connection: Connection) -> int:
        data = connection.receive()
        if data is None:
            return 0
        if connection.drained >= 0:
            connection.drained += len(data)
            if not data or connection.drained > self._limits.linger_size:
                self._drop(connection)
        elif data:
            connection.conversation.feed(data)
        else:
            connection.conversation.end()
        return len(data)

    def _go_on(self, connection: Connection) -> None:
        """Look at what waits, until something has to be waited for."""
        conversation = connection.conversation
        while not connection.closed and not connection.is_busy and not connection.closing:
            if not conversation.requests:
                conversation.go_on()
                if not conversation.requests:
                    break
            batch = Batch(connection, self._done)
            special = fill(batch, conversation.requests)
            count = len(batch.tags)
            self._received += count
            conversation.taken = count
            if special is not None:
                self._deal_with(connection, batch, special)
            elif batch.asked:
                self._submit(connection, batch)
            else:
                batch.answer(())
        if connection.closed or connection.closing:
            return
        if conversation.is_over and not conversation.requests and not connection.is_busy:
            connection.closing = True
            self._shut(connection)
        elif connection.mask == select.EPOLLIN and conversation.wants_input and not connection.outbox:
            return  # as it is mostly
        self._listen_to(connection)

    def _submit(self, connection: Connection, batch: Batch[Connection]) -> None:
        connection.batch = batch
        self._outstanding += len(batch.tags)
        self._service.submit_nowait(batch)

    def _deal_with(self, connection: Connection, batch: Batch[Connection], ask: ConnectionAsk) -> None:
        """An ask that is for the connection and not for the cluster."""

        def answer(result: Result) -> None:
            connection.starting = False
            batch.answer_here(0, result)
            batch.answer(())

        match ask:
            case Hello(format=form):
                if form is not None:
                    batch.form = "json" if form == "json" else "kv"
                batch.shape = lambda status: self._greeting(status, batch.form or connection.form)
                batch.asked.append(Asked(ShowStatus(), b"STATUS", connection.conversation.origin))
                self._submit(connection, batch)
            case ZooKeeperWord(word=word):
                batch.closes = True
                batch.shape = lambda result: self._in_zookeepers_words(word, result)
                command = ShowHealth() if word == "ruok" else ShowStatus()
                line = b"HEALTH" if word == "ruok" else b"STATUS"
                batch.asked.append(Asked(command, line, connection.conversation.origin))
                self._submit(connection, batch)
            case Quit():
                batch.closes = True
                answer(Answer({}))
            case Watch():
                connection.starting = True
                self._watches.start(connection, batch.tags[0], ask, answer)
            case Unwatch():
                answer(self._watches.stop(connection, ask))
            case _:
                raise AssertionError(ask)

    def _greeting(self, status: Result, form: Form) -> Reply:
        if isinstance(status, RefusedError):
            return status
        return Answer(
            {
                "version": 1,
                "node": self._info.node,
                "cluster": self._info.cluster,
                "server": self._info.server,
                "leader": status.pairs.get("leader"),
                "epoch": status.pairs.get("epoch"),
                "format": form,
                "max_line": LINE_SIZE_MAX,
            }
        )

    def _in_zookeepers_words(self, word: str, result: Result) -> str:
        if word == "ruok":
            return format_ruok(result)
        traffic = ZooKeeperTraffic(self._received, self._sent, len(self._connections), self._outstanding)
        return (format_srvr if word == "srvr" else format_mntr)(result, self._info.server, traffic)

    # --- and are answered ---------------------------------------------------------------------------------------------

    def _done(self, batch: Batch[Connection], replies: Sequence[Reply]) -> None:
        """A batch is answered: inside a pass, or in whatever turn brought the answer."""
        connection = batch.owner
        if connection.batch is batch:
            connection.batch = None
            self._outstanding -= len(batch.tags)
            if len(replies) == 1 and type(replies[0]) is Answer and batch.local is None:
                done, kind = self._traffic.done, type(batch.asked[0].command)
                done[kind] = done.get(kind, 0) + 1
            elif batch.shape is None:
                self._count(batch, replies)
        if connection.closed:
            return
        conversation = connection.conversation
        conversation.taken = 0
        self._sent += len(batch.tags)
        if batch.form is not None:
            connection.form = batch.form
        if batch.closes:
            conversation.requests.clear()
        if connection.events:
            self._send(connection, connection.take_events())
        text = brief(batch.tags, replies, connection.form)
        if text is None:
            connection.reply = pieces(batch.tags, replies, connection.form)
            self._pump(connection)
        else:
            self._send(connection, text)
        if conversation.needs_attention:
            self._look_again(connection)

    def _count(self, batch: Batch[Connection], replies: Sequence[Reply]) -> None:
        """For /metrics; in one pass of C, for a batch may hold a thousand."""
        if batch.local is not None:
            local = batch.local
            replies = [reply for place, reply in enumerate(replies) if place not in local]
        results = ["OK" if type(reply) is Answer else getattr(reply, "code", "OK") for reply in replies]
        kinds = [type(asked.command) for asked in batch.asked]
        self._traffic.requests.update(zip(kinds, results, strict=True))

    def _send(self, connection: Connection, text: bytes) -> None:
        """Send all of what is to be said for now."""
        try:
            connection.send(text)
        except OSError:
            self._drop(connection)
            return
        if connection.outbox or connection.mask != select.EPOLLIN:
            self._listen_to(connection)
        self._tell_room(connection)

    def _tell_room(self, connection: Connection) -> None:
        """Wake those that wait to say an event."""
        if connection.room is not None and connection.has_room:
            connection.room.set()
            connection.room = None

    def _pump(self, connection: Connection) -> None:
        """Format and send, piece by piece, as long as the kernel takes them and it is no other client's turn."""
        size = 0
        try:
            while connection.reply is not None and not connection.outbox:
                piece = next(connection.reply, None)
                if piece is None:
                    connection.reply = None
                    break
                connection.send(piece)
                size += len(piece)
                if size >= self._limits.reply_size:
                    self._look_again(connection)
                    break
        except OSError:
            self._drop(connection)
            return
        self._listen_to(connection)
        self._tell_room(connection)

    async def _tell(self, connection: Connection, text: str) -> None:
        """Say an event between two replies, once the client has taken most of what came before it."""
        while not connection.closed and not connection.has_room:
            if connection.room is None:
                connection.room = trio.Event()
            await connection.room.wait()
        if not connection.closed and not connection.closing:
            connection.say(text.encode())
            self._look_again(connection)

    def _listen_to(self, connection: Connection) -> None:
        """Have epoll report what we want of a connection now, and keep its deadline."""
        if connection.closed:
            return
        mask = 0
        if connection.outbox:
            mask |= select.EPOLLOUT
            if connection.deadline == NEVER:
                self._arm(connection, self._limits.stall)
        elif connection.drained < 0:
            connection.deadline = NEVER
        if connection.conversation.wants_input or connection.drained >= 0:
            mask |= select.EPOLLIN
        if mask != connection.mask:
            connection.mask = mask
            self._epoll.modify(connection.fd, mask)

    # --- clients go ---------------------------------------------------------------------------------------------------

    def _shut(self, connection: Connection) -> None:
        """All is said. Close at once if the client has ended too, else after it has had time to read."""
        if connection.conversation.has_ended:
            self._drop(connection)
            return
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        connection.drained = 0
        self._arm(connection, self._limits.linger)

    def _arm(self, connection: Connection, seconds: float) -> None:
        """Set a deadline. The heap may know the connection by an earlier one, and looks again then."""
        connection.deadline = trio.current_time() + seconds
        if not connection.armed or connection.drained >= 0:
            connection.armed = True
            self._serial += 1
            heapq.heappush(self._deadlines, (connection.deadline, self._serial, connection))

    def _expire(self) -> None:
        """Close those whose time is up; a deadline that has moved goes back on the heap."""
        now = trio.current_time()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, serial, connection = heapq.heappop(self._deadlines)
            connection.armed = False
            if connection.closed or connection.deadline == NEVER:
                continue
            if connection.deadline > now:
                connection.armed = True
                heapq.heappush(self._deadlines, (connection.deadline, serial, connection))
                continue
            if connection.drained < 0:
                logger.info("a client takes no replies: closed", address=connection.conversation.origin.address)
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.closed:
            return
        del self._connections[connection.fd]
        self._traffic.connections = len(self._connections)
        self._ready.pop(connection, None)
        self._epoll.unregister(connection.fd)
        connection.close()
        self._gate.let_out(connection.host)
