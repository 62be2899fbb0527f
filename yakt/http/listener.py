"""The HTTP listener: Hypercorn's Trio server over listeners of ours, bounded; stops in order, open streams too."""

from collections.abc import Mapping, Sequence
from functools import partial

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from yakt.http.application import About, Application
from yakt.http.metrics import Figures
from yakt.node.service import ControllerService, Traffic

HEADERS_SIZE_MAX = 32 * 1024
GRACE_S = 2.0
"""For requests under way, once the node stops."""


@attrs.frozen(kw_only=True)
class Limits:
    """What clients may cost. Times in seconds."""

    connections: int = 1000
    idle: float = 75.0
    """Between requests, and for the head of one to arrive."""
    stall: float = 30.0
    """For a client to take what it is sent."""


async def serve(
    service: ControllerService,
    listeners: Sequence[trio.SocketListener],
    figures: Figures,
    about: About,
    traffic: Mapping[str, Traffic],
    stopping: trio.Event,
    limits: Limits | None = None,
) -> None:
    """Serve all clients until cancelled. Once `stopping` is set no more are let in, and streams end.

    `traffic`: of all listeners of this node, by their names; that of "http" is counted here.
    """
    await _Server(service, figures, about, traffic, stopping, limits or Limits()).run(listeners)


class _Server:
    def __init__(
        self,
        service: ControllerService,
        figures: Figures,
        about: About,
        traffic: Mapping[str, Traffic],
        stopping: trio.Event,
        limits: Limits,
    ) -> None:
        self._limits = limits
        self._stopping = stopping
        self._traffic = traffic["http"]
        application = Application(service, figures, about, traffic, stopping)
        self._app = ASGIWrapper(application)  # type: ignore[arg-type]  # Starlette and Hypercorn word ASGI apart
        self._context = WorkerContext(None)
        self._config = _config(limits)

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, self._serve, list(listeners), handler_nursery=connections)
                )
                await self._stopping.wait()
                accepting.cancel_scope.cancel()
            await self._context.terminated.set()  # idle connections close, others after their answer
            connections.cancel_scope.deadline = trio.current_time() + GRACE_S

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._traffic.connections >= self._limits.connections:
            await trio.aclose_forcefully(stream)
            return
        self._traffic.connections += 1
        try:
            await _Connection(
                self._app, self._config, self._context, ConnectionState({}), stream, self._limits.stall
            ).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has gone
        finally:
            self._traffic.connections -= 1


class _Connection(TCPServer):
    """Hypercorn's connection, but for one thing: a client that takes nothing is let go, and holds up no stop."""

    def __init__(
        self,
        app: ASGIWrapper,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        stream: trio.SocketStream,
        stall: float,
    ) -> None:
        super().__init__(app, config, context, state, stream)  # type: ignore[arg-type]  # as its own worker calls it
        self._stall = stall

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            taken = False
            try:
                with trio.move_on_after(self._stall):
                    await self.stream.send_all(event.data)
                    taken = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        if not taken:
            await trio.aclose_forcefully(self.stream)
            await self.protocol.handle(Closed())


def _config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADERS_SIZE_MAX
    config.h2_max_header_list_size = HEADERS_SIZE_MAX
    config.keep_alive_timeout = limits.idle
    config.websocket_max_message_size = 0
    return config
