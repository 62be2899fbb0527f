"""A stock broker without Java: its channels, its life, and a diary of what the controllers did to it.

It starts, follows, registers, beats and stops as controller-contract.md §2 tells, forwards what clients ask, and brings
replicas back into sync as a partition's leader would. Nothing of a partition's data exists.
"""

import random
from typing import Any, Literal

import attrs
import trio

from tests.kafka_fake.channels import LOST, PAUSE_S, Channel, Connection
from tests.kafka_fake.observer import Observer
from tests.kafka_fake.verdicts import BrokenChannelError, Diary, DiedError
from yakt.address import Address
from yakt.ids import Uuid
from yakt.kafka import apis, codec
from yakt.kafka.apis import Api
from yakt.kafka.messages import brokers as wire
from yakt.kafka.messages import connections
from yakt.kafka.messages import fetch as fetch_wire

REGISTRATION_S = 60.0
FETCH_S = 2.0
STARTING_PAUSE_S, RETRY_S = 0.01, 0.02
ANONYMOUS = bytes.fromhex("00000555736572 0a414e4f4e594d4f5553 0000".replace(" ", ""))
"""The principal User:ANONYMOUS (DefaultPrincipalData v0)."""

State = Literal["STARTING", "RECOVERY", "RUNNING", "SHUTTING_DOWN", "STOPPED"]


@attrs.define(eq=False)
class FakeBroker:
    """One broker. `run` until cancelled, or until it has stopped or died; `diary.verdict` tells how it went."""

    observer: Observer
    session_s: float = 9.0
    beat_s: float = 0.2
    incarnation: Uuid = attrs.Factory(lambda: Uuid(random.randbytes(16)))
    previous_epoch: int = -1
    state: State = "STARTING"
    epoch: int = -1
    was_fenced: int = 0
    """Times that it was fenced after it had run."""
    refused: list[str] = attrs.Factory(list)
    """Errors of its own requests that a broker would log and try again."""
    holds_back: bool = False
    """Whether its fetches pause, as those of a broker that hangs."""
    changed: trio.Event = attrs.Factory(trio.Event)
    beats: Channel = attrs.field(init=False)
    forwarding: Channel = attrs.field(init=False)
    altering: Channel = attrs.field(init=False)
    _stop_asked: trio.Event = attrs.Factory(trio.Event)

    def __attrs_post_init__(self) -> None:
        name, find = str(self.id), lambda: self.observer.controller
        self.beats = Channel(name, find, min(30.0, self.session_s / 2), self.session_s / 2)
        self.forwarding = Channel(name, find, 30.0, 60.0)
        self.altering = Channel(name, find, 30.0, float("inf"))

    @property
    def id(self) -> int:
        return self.observer.broker_id

    @property
    def diary(self) -> Diary:
        return self.observer.diary

    def _change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def wait_state(self, state: State) -> None:
        """Until it is in this state; AssertionError if it will never be."""
        while self.state != state:
            assert self.diary.died is self.diary.zombie is None, self.diary.verdict
            await self.changed.wait()

    async def wait_loaded(self, end_offset: int) -> None:
        """Until it has applied all below this offset; AssertionError if it never will."""
        while self.observer.loader.end_offset < end_offset:
            assert self.diary.died is None, self.diary.verdict
            await self.changed.wait()

    async def run(self) -> None:
        """Live."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow)
                nursery.start_soon(self._grow_isrs)
                try:
                    await self._live()
                except BrokenChannelError as exc:
                    self.diary.zombie = str(exc)
                except DiedError as exc:
                    self.diary.died = str(exc)
                self._change()
                nursery.cancel_scope.cancel()
        finally:
            for channel in (self.beats, self.forwarding, self.altering):
                channel.close()

    # --- The log

    async def _follow(self) -> None:
        connection: Connection | None = None
        anywhere = True
        last_heard = trio.current_time()
        try:
            while True:
                while self.holds_back:
                    await self.changed.wait()
                address = self._any_address() if anywhere else self.observer.leader_address or self._any_address()
                try:
                    if connection is not None and connection.address != address:
                        connection.close()
                        connection = None
                    with trio.fail_after(FETCH_S):
                        connection = connection or await Connection.open(address, f"raft-client-{self.id}")
                        handled = await self._fetch_once(connection)
                except LOST:
                    if connection is not None:
                        connection.close()
                    connection = None
                    anywhere = trio.current_time() - last_heard > FETCH_S or self.observer.leader_address is None
                    await trio.sleep(PAUSE_S)
                    continue
                last_heard = trio.current_time()
                anywhere = not handled or self.observer.leader_address is None
                self._change()
                await trio.sleep(0 if handled else RETRY_S)
        except DiedError as exc:
            self.diary.died = str(exc)
            self._stop_asked.set()
            self._change()
        finally:
            if connection is not None:
                connection.close()

    def _any_address(self) -> Address:
        return random.choice(self.observer.bootstrap or tuple(self.observer.static.values()))

    async def _fetch_once(self, connection: Connection) -> bool:
        request = self.observer.request()
        if isinstance(request, fetch_wire.FetchSnapshotRequest):
            answer = await connection.ask(apis.FETCH_SNAPSHOT, 1, request)
            return self.observer.on_fetch_snapshot(answer)
        return self.observer.on_fetch(await connection.ask(apis.FETCH, self.observer.version, request))

    # --- Its life

    async def _live(self) -> None:
        await self._register()
        while self.state != "STOPPED" and self.diary.died is None:
            await self._beat()
            with trio.move_on_after(STARTING_PAUSE_S if self.state == "STARTING" else self.beat_s):
                if self.state == "SHUTTING_DOWN":
                    await trio.sleep_forever()
                await self._stop_asked.wait()
        self._change()

    async def _register(self) -> None:
        request = wire.BrokerRegistrationRequest(
            self.id,
            self.observer.cluster_id,
            self.incarnation,
            (wire.BrokerRegistrationListener("PLAINTEXT", "127.0.0.1", 9092),),
            (
                wire.BrokerRegistrationFeature("metadata.version", 7, 21),
                wire.BrokerRegistrationFeature("kraft.version", 0, 1),
            ),
            log_dirs=(self.observer.directory_id,),
            previous_broker_epoch=self.previous_epoch,
        )
        pause = 0.1
        with trio.move_on_after(REGISTRATION_S):
            while self.diary.died is None:
                try:
                    answer = await self.beats.ask(apis.BROKER_REGISTRATION, 4, request)
                    if not answer.error_code:
                        self.epoch = answer.broker_epoch
                        return
                    self.refused.append(f"BrokerRegistration: {answer.error_code}")
                except trio.TooSlowError:
                    self.refused.append("BrokerRegistration: no answer")
                await trio.sleep(pause)
                pause = min(2 * pause, self.session_s)
        raise DiedError(f"not registered within {REGISTRATION_S:g} s")

    async def _beat(self) -> None:
        loader = self.observer.loader
        if self._stop_asked.is_set() and self.state in ("STARTING", "RECOVERY", "RUNNING"):
            self.state = "SHUTTING_DOWN"
        wants_fence = self.state == "STARTING" or not loader.is_published
        request = wire.BrokerHeartbeatRequest(
            self.id, self.epoch, loader.end_offset - 1, wants_fence, self.state == "SHUTTING_DOWN"
        )
        try:
            answer = await self.beats.ask(apis.BROKER_HEARTBEAT, 1, request)
        except trio.TooSlowError:
            self.refused.append("BrokerHeartbeat: no answer")
            return
        if answer.error_code:
            self.refused.append(f"BrokerHeartbeat: {answer.error_code}")
            if answer.error_code == 77:
                self.diary.zombie = "its broker epoch is no longer the registered one"
            return
        if self.state == "STARTING" and answer.is_caught_up:
            self.state = "RECOVERY"
        elif self.state == "RECOVERY" and not answer.is_fenced:
            if loader.own_record_offset >= 0 and loader.is_fenced and loader.end_offset < self.epoch:
                self.diary.unnoticed.append("unfenced before its registration was in the log it has")
            self.state = "RUNNING"
            loader.is_running = True
        elif self.state == "RUNNING" and answer.is_fenced:
            self.was_fenced += 1
        elif self.state == "SHUTTING_DOWN" and answer.should_shut_down:
            self.state = "STOPPED"
        self._change()

    async def stop(self) -> None:
        """Ask to shut down, as at SIGTERM; until it may, or has died."""
        self._stop_asked.set()
        while self.state != "STOPPED" and self.diary.died is None:
            await self.changed.wait()

    # --- What it asks for others

    async def forward(self, api: Api, version: int, body: Any) -> Any:
        """A client's request in an Envelope; the answer inside. Raises as Channel.ask, AssertionError for a refusal."""
        frame = codec.encode_request(api, version, 7, "client", body)
        envelope = connections.EnvelopeRequest(frame, ANONYMOUS, bytes((127, 0, 0, 1)))
        answer = await self.forwarding.ask(apis.ENVELOPE, 0, envelope)
        assert answer.error_code == 0, answer
        correlation, inside = codec.decode_response(api, version, answer.response_data)
        assert correlation == 7
        return inside

    async def allocate_producer_ids(self) -> range:
        """The next block for this broker's producers."""
        answer = await self.forwarding.ask(
            apis.ALLOCATE_PRODUCER_IDS, 0, wire.AllocateProducerIdsRequest(self.id, self.epoch)
        )
        assert answer.error_code == 0, answer
        return range(answer.producer_id_start, answer.producer_id_start + answer.producer_id_len)

    async def _grow_isrs(self) -> None:
        """Take unfenced replicas back into the ISRs of the partitions it leads, as if they had caught up."""
        while True:
            await trio.sleep(self.beat_s)
            if self.state != "RUNNING":
                continue
            loader = self.observer.loader
            for (topic_id, number), row in list(loader.partitions.items()):
                isr = tuple(one for one in row.replicas if one in row.isr or one in loader.unfenced)
                if row.leader != self.id or set(isr) == set(row.isr):
                    continue
                change = wire.AlterPartitionPartition(
                    number,
                    row.leader_epoch,
                    new_isr_with_epochs=tuple(wire.AlterPartitionBrokerState(one, -1) for one in isr),
                    partition_epoch=row.partition_epoch,
                )
                request = wire.AlterPartitionRequest(
                    self.id, self.epoch, (wire.AlterPartitionTopic(Uuid(topic_id), (change,)),)
                )
                answer = await self.altering.ask(apis.ALTER_PARTITION, 3, request)
                errors = [answer.error_code, *(part.error_code for one in answer.topics for part in one.partitions)]
                self.refused += [f"AlterPartition: {error}" for error in errors if error]
