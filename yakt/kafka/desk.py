"""Answers one connection's requests, through the service; knows messages and no socket."""

import time
from typing import Any

import attrs
import trio

from yakt.errors import RefusedError
from yakt.ids import NodeId
from yakt.kafka import apis, envelopes, observers, versions
from yakt.kafka.authorization import Authorizer
from yakt.kafka.codec import Header, encode_response
from yakt.kafka.codes import Code, code_of
from yakt.kafka.handlings import HANDLINGS
from yakt.kafka.messages import connections as wire
from yakt.kafka.plan import Caller, FindAddress, Handling, View, error_of
from yakt.node.service import ControllerService, Observer
from yakt.raft.messages import Error, FetchRequest, FetchResponse

LEADERLESS_S = 0.3
"""So long a Fetch waits for a leader to be known: a broker that hears of none asks again without a pause."""


@attrs.frozen(kw_only=True)
class About:
    """What this node says of itself and the other controllers. `find_address`: their Kafka listeners.

    `authorizer` None: whatever brokers forward is done.
    """

    node_id: NodeId
    cluster_id: str
    find_address: FindAddress
    authorizer: Authorizer | None = None


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
        client_id = header.client_id or ""
        if client_id != self._caller.client_id:
            self._caller = Caller(client_id, self._address)
        match header.api:
            case apis.FETCH:
                return await self._fetch(body)
            case apis.FETCH_SNAPSHOT:
                return await self._fetch_snapshot(body)
            case apis.API_VERSIONS:
                return versions.answer(body, header.version, self._service.image, self._about.cluster_id)
            case apis.ENVELOPE:
                return await self._open(body)
        handling = HANDLINGS[header.api.key]
        response = await self._handle(handling, header, body, self._caller)
        if response is None:
            return handling.refuse(body, Code.NOT_CONTROLLER, "This is not the active controller.")
        return response

    # --- Commands and reads

    async def _handle(self, handling: Handling, header: Header, body: Any, caller: Caller) -> Any | None:
        """The response; None where only the active controller may answer, and that is another node."""
        if handling.read is not None:
            if handling.anywhere or self._service.is_controller:
                return handling.read(body, self._view(header))
            return None
        assert handling.plan is not None
        plan = handling.plan(body, caller, self._view(header))
        if not plan.asked:
            return plan.respond(()) if self._service.is_controller else None
        results = await self._service.submit_all(plan.asked)
        if any(error_of(result) == Code.NOT_CONTROLLER for result in results):
            return None  # a broker takes one such error for all of them, and asks the next controller everything again
        return plan.respond(results)

    def _view(self, header: Header) -> View:
        service, about = self._service, self._about
        return View(
            version=header.version,
            image=service.image,
            cluster_id=about.cluster_id,
            node_id=about.node_id,
            leader_id=service.leader_id,
            find_address=about.find_address,
            statistics=service.statistics,
            wall_ms=time.time_ns() // 1_000_000,
        )

    async def _open(self, envelope: wire.EnvelopeRequest) -> wire.EnvelopeResponse:
        try:
            inside = envelopes.open_envelope(envelope)
        except RefusedError as refused:
            return envelopes.refuse(refused)
        handling, authorizer = HANDLINGS[inside.header.api.key], self._about.authorizer
        if authorizer is not None:
            if not self._service.is_controller:
                return envelopes.NOT_CONTROLLER  # it may become one while the request waits, with other ACLs than these
            denied = authorizer.refusal_of(inside.header.api, inside.body, inside.caller, self._service.image)
            if denied is not None:
                response = handling.refuse(inside.body, code_of(denied), denied.message)
                return wire.EnvelopeResponse(encode_response(inside.header, response), Code.NONE)
        response = await self._handle(handling, inside.header, inside.body, inside.caller)
        if response is None:
            return envelopes.NOT_CONTROLLER
        return wire.EnvelopeResponse(encode_response(inside.header, response), Code.NONE)

    # --- The log

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
