"""Answers one connection's requests, through the service; knows messages and no bytes."""

from collections.abc import Callable
from typing import Any

import attrs
import trio

from yakt.ids import NodeId
from yakt.kafka import apis, lifecycle, observers, versions
from yakt.kafka.codec import Header
from yakt.kafka.codes import Code
from yakt.kafka.observers import FindAddress
from yakt.kafka.plan import Caller, Plan
from yakt.node.service import ControllerService, Observer
from yakt.raft.messages import Error, FetchRequest, FetchResponse

LEADERLESS_S = 0.3
"""So long a Fetch waits for a leader to be known: a broker that hears of none asks again without a pause."""


@attrs.frozen(kw_only=True)
class About:
    """What this node says of itself and the other controllers. `find_address`: their Kafka listeners."""

    node_id: NodeId
    cluster_id: str
    find_address: FindAddress


PLANS: dict[int, Callable[[Any, Caller], Plan]] = {
    apis.BROKER_REGISTRATION.key: lifecycle.register,
    apis.BROKER_HEARTBEAT.key: lifecycle.heartbeat,
}
"""Requests that are nothing but commands."""


class Desk:
    """One connection's side of the service. `close` it with the connection."""

    def __init__(self, service: ControllerService, about: About, address: str) -> None:
        self._service = service
        self._about = about
        self._address = address
        self._observer: Observer | None = None
        self._caller = Caller("", address)

    def close(self) -> None:
        """The connection has ended."""
        if self._observer is not None:
            self._observer.close()

    async def answer(self, header: Header, body: Any) -> Any:
        """The response to a request of a served version. Raises RefusedError where there is no way to say no."""
        if header.client_id != self._caller.client_id:
            self._caller = Caller(header.client_id, self._address)
        key = header.api.key
        if key == apis.FETCH.key:
            return await self._fetch(body)
        if key == apis.FETCH_SNAPSHOT.key:
            return await self._fetch_snapshot(body)
        if key == apis.API_VERSIONS.key:
            return versions.answer(body, header.version, self._service.image, self._about.cluster_id)
        plan = PLANS[key](body, self._caller)
        return plan.respond(await self._service.submit_all(plan.asked))

    async def _fetch(self, body: Any) -> Any:
        request = observers.read_fetch(body)
        if request is None:
            return observers.refuse_fetch(Code.INVALID_REQUEST)
        observer = self._open_observer()
        response = await observer.fetch(request)
        if self._knows_no_leader(response):
            with trio.move_on_after(LEADERLESS_S):
                response = await self._fetch_when_led(observer, request, response)
        return observers.answer_fetch(response, self._about.find_address)

    async def _fetch_when_led(
        self, observer: Observer, request: FetchRequest, response: FetchResponse
    ) -> FetchResponse:
        while self._knows_no_leader(response):
            await self._service.wait_leader_change()
            response = await observer.fetch(request)
        return response

    def _knows_no_leader(self, response: FetchResponse) -> bool:
        leader_id = response.leader_id
        return response.error is Error.NOT_LEADER_OR_FOLLOWER and (
            leader_id is None or self._about.find_address(leader_id) is None
        )

    async def _fetch_snapshot(self, body: Any) -> Any:
        request = observers.read_fetch_snapshot(body)
        if request is None:
            return observers.refuse_fetch_snapshot(body)
        response = await self._open_observer().fetch_snapshot(request)
        return observers.answer_fetch_snapshot(request, response, self._about.find_address)

    def _open_observer(self) -> Observer:
        if self._observer is None:
            self._observer = self._service.open_observer()
        return self._observer
