"""Builds one node of all its parts and runs it: one root nursery, an ordered start, an ordered stop."""

import gc
import importlib
import math
import random
import secrets
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import attrs
import structlog
import trio

from yakt import __version__
from yakt.address import Address
from yakt.config import Config, Listener
from yakt.errors import ConfigError, RefusedError, YaktError
from yakt.hello_facts import FEATURES, LISTENER, endpoints_of, peer_met, registration_of
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.kafka import listener as kafka_listener
from yakt.kafka.authorization import Authorizer
from yakt.kafka.desk import About
from yakt.line import grammar
from yakt.line import listener as line_listener
from yakt.metadata.active import ActiveController
from yakt.metadata.answers import Result
from yakt.metadata.asked import Asked
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.node.asks import Here, NodeInfo
from yakt.node.driver import Driver
from yakt.node.explain import Explainer
from yakt.node.figures import NodeFigures
from yakt.node.flusher import Flusher
from yakt.node.history import History
from yakt.node.leadership import Leadership
from yakt.node.loader import Loader
from yakt.node.node_service import NodeService
from yakt.node.runs import Writes
from yakt.node.service import Traffic
from yakt.node.snapshots import Snapshots, load_image
from yakt.node.surroundings import Flush
from yakt.node.timer import Timer
from yakt.node.visits import Visits
from yakt.peer.codec import PROTOCOL_MAX, PROTOCOL_MIN
from yakt.peer.links import Links, dial_tcp
from yakt.peer.messages import ForwardRequest, ForwardResponse, ForwardResult, Identity
from yakt.raft import events
from yakt.raft.core import Election, LogState, RaftConfig, RaftCore
from yakt.raft.events import Visitor
from yakt.raft.messages import Message
from yakt.raft.voters import VoterSet
from yakt.storage.store import LogLimits, Store, open_store
from yakt.wire.batch import seal_control

logger = structlog.get_logger()

STOP_S = 3.0
"""An ordered stop takes no longer than this."""


@attrs.define(eq=False)
class World:
    """What the driver needs of this process: clocks, links, the flusher. Filled in as the parts come to be."""

    store: Store
    links: Links | None = None
    flusher: Flusher | None = None
    addresses: dict[NodeId, str] = attrs.Factory(dict)
    """Peer addresses, as the configuration has them."""
    visits: Visits = attrs.Factory(Visits)
    voters: VoterSet | None = None

    def now(self) -> Instant:
        return Instant(trio.current_time())

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def send(self, to: events.Source, message: Message, correlation: int) -> None:
        assert self.links is not None
        if isinstance(to, Visitor):
            self.visits.deliver(to, message, correlation)
        else:
            self.links.send(to, message, correlation)

    def forward(self, to: NodeId, correlation: int, writes: Writes) -> bool:
        assert self.links is not None
        origin = writes.asked[0].origin
        left_ms = max(1, int((writes.deadline - trio.current_time()) * 1000))
        request = ForwardRequest(
            client=origin.client,
            address=origin.address,
            timeout_ms=left_ms,
            lines=tuple(asked.line for asked in writes.asked),
        )
        return self.links.forward(to, request, correlation)

    def start_flush(self, flush: Flush) -> bool:
        assert self.flusher is not None
        return self.flusher.start(flush)

    def load_image(self, snapshot_id: OffsetAndEpoch) -> MetadataImage:
        return load_image(self.store, snapshot_id)

    def line_address(self, node: NodeId) -> str | None:
        assert self.links is not None
        addresses = self.links.addresses(node)
        return None if addresses is None else addresses.line

    def kafka_address(self, node: NodeId) -> Address | None:
        """As the node's hello told, or else as the voters' record has it; None while neither is known."""
        assert self.links is not None
        assert self.voters is not None
        addresses = self.links.addresses(node)
        if addresses is not None and addresses.kafka is not None:
            return Address.parse(addresses.kafka)
        for point in self.voters.endpoints(node):
            if point.name == LISTENER:
                return Address(point.host, point.port)
        return None

    def link_trouble(self, node: NodeId) -> str | None:
        """Why there is no connection of ours to a node; None while there is one."""
        assert self.links is not None
        for link in self.links.statistics():
            if link.peer == node and not link.dialled:
                return link.trouble or "not tried yet"
        return None

    def peer_address(self, node: NodeId) -> str | None:
        return self.addresses.get(node)


@attrs.define(eq=False)
class PeerDesk:
    """What peers say, handed to the driver; and commands they forward, to the service."""

    driver: Driver
    service: NodeService

    def met(self, peer: Identity) -> bool:
        self.driver.take(peer_met(peer))
        self.driver.introduce(registration_of(peer))
        return self.driver.core.counts(peer.key)

    def link_opened(self, peer: NodeId, counts_us: bool) -> None:
        self.driver.take(events.LinkOpened(peer, counts_us))

    def link_lost(self, peer: NodeId) -> None:
        self.driver.link_lost(peer)
        self.service.here.leadership.link_lost(peer)

    def received(self, source: NodeId, message: Message, correlation: int) -> None:
        self.driver.take(events.Received(source, message, correlation))

    def forwarded(self, source: NodeId, request: ForwardRequest, reply: Callable[[ForwardResponse], None]) -> None:
        """Commands of another node's client. Writes are answered as decided: the other node waits for their commit."""
        asked: list[Asked] = []
        for line in request.lines:
            parsed = grammar.parse_forwarded(line, client=request.client, address=request.address)
            if isinstance(parsed, RefusedError):
                reply(ForwardResponse((ForwardResult(grammar.format_result(parsed)),) * len(request.lines)))
                return
            asked.append(parsed)

        def decided(writes: Writes) -> None:
            reply(
                ForwardResponse(
                    tuple(
                        ForwardResult(grammar.format_result(result), Offset(end - 1), writes.epoch)
                        if end
                        else ForwardResult(grammar.format_result(result))
                        for result, end in zip(writes.results, writes.ends, strict=True)
                    )
                )
            )

        def answered(results: Sequence[Result]) -> None:
            reply(ForwardResponse(tuple(ForwardResult(grammar.format_result(result)) for result in results)))

        self.service.submit_forwarded(asked, request.timeout_ms, decided, answered)

    def forward_answered(self, source: NodeId, response: ForwardResponse, correlation: int) -> None:
        results = [grammar.parse_result(result.text) for result in response.results]
        if self.service.here.leadership.answered(correlation, results):
            return
        ends = [0 if result.offset is None else result.offset + 1 for result in response.results]
        epochs = [result.epoch for result in response.results if result.epoch is not None]
        self.driver.forward_answered(correlation, results, ends, epochs[0] if epochs else Epoch(-1))

    def turn_ended(self) -> None:
        self.service.end_turn()


async def listen_on(listener: Listener, path: str) -> list[trio.SocketListener]:
    """Open a listener. Raises ConfigError that names the key."""
    try:
        return await trio.open_tcp_listeners(listener.listen.port, host=listener.listen.host)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise ConfigError(
            [f"cannot listen on {listener.listen}: {reason}; stop what listens there or change it @ $.{path}.listen"]
        ) from exc


def port_of(listeners: Sequence[trio.SocketListener]) -> int:
    """The port that was bound, where 0 was asked for."""
    return int(listeners[0].socket.getsockname()[1])


def new_uuid() -> Uuid:
    """A random uuid that Kafka will take for a directory or topic id (records.md §4)."""
    while True:
        raw = Uuid(uuid.uuid4().bytes)
        if raw[0] >> 2 != 0b111110:  # its base64url would begin with "-"
            return raw


def raft_config(config: Config) -> RaftConfig:
    """Milliseconds into seconds."""
    return RaftConfig(
        election_timeout=config.quorum.election_timeout_ms / 1000,
        fetch_timeout=config.quorum.fetch_timeout_ms / 1000,
        kraft_version=config.quorum.kraft_version,
    )


async def run(config: Config, *, stop: trio.Event | None = None) -> None:
    """Run a node until SIGTERM, SIGINT or `stop`. Raises ConfigError or StorageError where it must not go on."""
    store = open_store(
        config.node.data,
        config.cluster.id,
        config.node.id,
        new_uuid,
        voters=[voter.id for voter in config.cluster.voters],
        limits=LogLimits(
            segment_bytes=config.log.segment_bytes,
            retention_bytes=config.log.retention_bytes,
            retention_ms=config.log.retention_ms,
        ),
    )
    try:
        await _run_with(config, store, trio.Event() if stop is None else stop)
    except BaseExceptionGroup as group:
        store.close(clean=False)
        raise cause_of(group) from None
    except BaseException:
        store.close(clean=False)
        raise
    store.close()


def cause_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault that ended the node, if it was raised on purpose; else the whole group, for it is a bug."""
    expected, others = group.split(YaktError)
    if expected is None or others is not None:
        return group
    found: BaseException = expected
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _run_with(config: Config, store: Store, stop: trio.Event) -> None:
    me = config.node.id
    recovered = store.recovered
    for note in recovered.notes:
        logger.warning(note)
    peer_listeners = await listen_on(config.peer, "peer")
    line_listeners = await listen_on(config.line, "line")
    line_address = config.line.told(port_of(line_listeners))
    if config.http is not None:
        _check_http()
    http_listeners = [] if config.http is None else await listen_on(config.http, "http")
    http_address = None if config.http is None else config.http.told(port_of(http_listeners))
    kafka_listeners = [] if config.kafka is None else await listen_on(config.kafka, "kafka")
    kafka_address = None if config.kafka is None else config.kafka.told(port_of(kafka_listeners))
    chance = random.Random(secrets.randbits(64)).random
    world = World(store)
    world.addresses = {voter.id: str(voter.address) for voter in config.cluster.voters}
    identity = Identity(
        protocol_min=PROTOCOL_MIN,
        protocol_max=PROTOCOL_MAX,
        cluster_id=config.cluster.id,
        node_id=me,
        directory_id=recovered.directory_id,
        line=str(line_address),
        http=None if http_address is None else str(http_address),
        kafka=None if kafka_address is None else str(kafka_address),
        features=FEATURES,
        incarnation=new_uuid(),
    )
    core = RaftCore(
        me=ReplicaKey(me, recovered.directory_id),
        voters=tuple(voter.id for voter in config.cluster.voters),
        config=raft_config(config),
        election=Election(recovered.epoch, recovered.leader_id, recovered.voted),
        log=LogState(
            start_offset=recovered.start_offset,
            end_offset=recovered.end_offset,
            epochs=recovered.epochs,
            snapshots=recovered.snapshots,
            control=recovered.control,
        ),
        directories=recovered.directories,
        random=chance,
        seal_control=lambda records: seal_control(records, world.wall_ms()),
        cluster_id=config.cluster.id,
        endpoints=endpoints_of(identity),
    )
    settings = ControllerSettings(
        cluster_id=config.cluster.id,
        node_id=me,
        controller_ids=frozenset(voter.id for voter in config.cluster.voters),
        default_partitions=config.controller.default_partitions,
        default_replication=config.controller.default_replication,
        broker_session_timeout_ms=config.controller.broker_session_timeout_ms,
        unclean_leader_election=config.controller.unclean_leader_election,
        preferred_election_interval_s=300.0 if config.controller.auto_leader_rebalance else math.inf,
    )

    def make_active(
        image: MetadataImage, epoch: Epoch, end_offset: Offset, now: Instant, now_ms: int
    ) -> ActiveController:
        waits_for = core.statistics(now).waits_for
        if waits_for:
            logger.warning("kraft.version goes up once these voters were up too, with a [kafka]", voters=waits_for)
        return ActiveController(
            image,
            settings,
            epoch=epoch,
            next_offset=end_offset,
            now=now,
            now_ms=now_ms,
            new_uuid=new_uuid,
            random=chance,
            missing_voters=core.missing_for,
        )

    newest = recovered.snapshots[-1][0] if recovered.snapshots else None
    image = load_image(store, newest) if newest is not None else MetadataImage()
    loader = Loader(image, store, make_active)
    driver = Driver(core, store, loader, world)
    driver.introduce(registration_of(identity))
    for line in core.voters.overruled(config.quorum.kraft_version):
        logger.warning(line)
    world.voters = core.voters
    async with trio.open_nursery() as nursery:
        leadership = Leadership(driver)
        here = Here(
            info=NodeInfo(me, config.cluster.id, __version__),
            driver=driver,
            store=store,
            history=History(store, loader),
            snapshots=Snapshots(store, driver, config.log, chance=chance),
            leadership=leadership,
            explainer=Explainer(driver=driver, store=store, settings=settings, link_trouble=world.link_trouble),
        )
        service = NodeService(here, nursery, world.visits)
        desk = PeerDesk(driver, service)
        links = Links(
            identity,
            {
                voter.id: dial_tcp(voter.address.host, voter.address.port)
                for voter in config.cluster.voters
                if voter.id != me
            },
            desk,
            random=chance,
        )
        world.links = links

        world.flusher = Flusher(driver.flushed)
        timer = Timer(driver)
        driver.on_turn = timer.adjust

        nursery.start_soon(_wait_for_signals, stop)
        nursery.start_soon(world.flusher.run)
        driver.start()
        nursery.start_soon(timer.run)
        nursery.start_soon(links.run, peer_listeners)
        nursery.start_soon(here.snapshots.run)
        nursery.start_soon(here.history.run)
        traffic = {name: Traffic() for name in ("line", "http", "kafka")}
        nursery.start_soon(_serve_lines, service, line_listeners, here.info, traffic["line"])
        http_done = trio.Event()
        if http_listeners:
            figures = NodeFigures(driver, world.flusher)
            nursery.start_soon(_serve_http, service, http_listeners, figures, here.info, traffic, stop, http_done)
        else:
            http_done.set()
        if kafka_listeners:
            about = About(
                node_id=me,
                cluster_id=config.cluster.id,
                find_address=lambda node: kafka_address if node == me else world.kafka_address(node),
                authorizer=Authorizer(frozenset(super_users))
                if (super_users := config.controller.super_users)
                else None,
            )
            nursery.start_soon(kafka_listener.serve, service, kafka_listeners, about, None, traffic["kafka"])
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        # A sync that is done in a worker must not wait 5 ms for the interpreter while this thread is busy.
        sys.setswitchinterval(0.0005)
        print(_serving(config, line_address, http_address, kafka_address), file=sys.stderr, flush=True)
        await stop.wait()
        logger.info("stopping")
        await _stop(driver, leadership)
        with trio.move_on_after(STOP_S):
            await http_done.wait()
        nursery.cancel_scope.cancel()


async def _serve_lines(
    service: NodeService, listeners: Sequence[trio.SocketListener], info: NodeInfo, traffic: Traffic
) -> None:
    await line_listener.serve(
        service,
        [listener.socket for listener in listeners],
        line_listener.NodeInfo(node=info.node_id, cluster=info.cluster_id, server=f"yakt/{info.version}"),
        traffic=traffic,
    )


def _check_http() -> None:
    """A node without [http] neither needs nor holds what serves it, so that is loaded here. Raises ConfigError."""
    try:
        importlib.import_module("yakt.http.listener")
    except ModuleNotFoundError as exc:
        raise ConfigError(
            [f"HTTP needs {exc.name}, which is not installed: pip install 'yakt[http]' @ $.http"]
        ) from None


async def _serve_http(
    service: NodeService,
    listeners: Sequence[trio.SocketListener],
    figures: NodeFigures,
    info: NodeInfo,
    traffic: Mapping[str, Traffic],
    stop: trio.Event,
    done: trio.Event,
) -> None:
    from yakt.http import application
    from yakt.http import listener as http_listener

    about = application.About(cluster_id=info.cluster_id, version=info.version)
    await http_listener.serve(service, listeners, figures, about, traffic, stop)
    done.set()


def _serving(config: Config, line: Address, http: Address | None, kafka: Address | None) -> str:
    others = "" if http is None else f" http {http}"
    others += "" if kafka is None else f" kafka {kafka}"
    return f"yakt node {config.node.id} serving: line {line} peer {config.peer.listen}{others}"


async def _wait_for_signals(stop: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


async def _stop(driver: Driver, leadership: Leadership) -> None:
    """Hand over the leadership, if we have it, so that nobody has to notice that we are gone."""
    led = driver.core.is_leader
    driver.take(events.ShutdownAsked())
    driver.end_turn()
    if led and len(driver.core.voter_ids) > 1:
        with trio.move_on_after(STOP_S):
            await leadership.wait_for_another()
