"""The ASGI application: requests to handlers, answers and refusals to bytes; bounds on what a request may bring."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import attrs
import msgspec
import structlog
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from yakt.address import Address
from yakt.errors import RefusedError
from yakt.http import events, lines, openapi, page_files
from yakt.http.asking import Asking, with_client
from yakt.http.fields import Fields, parse_body
from yakt.http.metrics import Figures, Metrics
from yakt.http.problems import MEDIA_TYPE, problem_of, status_of
from yakt.http.reply import Reply
from yakt.http.routes import ALIASES, ROUTES, Call, RouteSpec
from yakt.metadata.asked import Origin
from yakt.node.service import ControllerService, Traffic

logger = structlog.get_logger()

BODY_SIZE_MAX = 2 * 1024 * 1024
BODY_DRAINED_MAX = 16 * 1024 * 1024
"""Of one that is too large: so much is read all the same, for many clients hear nothing before they have sent all."""
BODY_S = 30.0
"""For the whole of a body to arrive."""
REQUESTS_MAX = 256
"""Under way at once, streams of events not counted."""
DOCS = Path(__file__).with_name("docs.html")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[Request], Awaitable[Response]]


@attrs.frozen
class About:
    """What the node says of itself."""

    cluster_id: str
    version: str


class Application:
    """Everything that is served over HTTP, for one node."""

    def __init__(
        self,
        service: ControllerService,
        figures: Figures,
        about: About,
        traffic: Mapping[str, Traffic],
        stopping: trio.Event,
    ) -> None:
        self._service = service
        self._about = about
        self._traffic = traffic["http"]
        self._stopping = stopping
        self._metrics = Metrics(service, figures, traffic)
        self._under_way = 0
        self._watchers = 0
        self._document: bytes | None = None
        self._page = page_files.load()
        routes = [
            Route(spec.path, self._bounded(spec.path, self._crd(spec)), methods=[spec.method])
            for spec in (*ROUTES, *ALIASES)
        ]
        for path, handler in (
            ("/status", self._status),
            ("/livez", self._livez),
            ("/readyz", self._readyz),
            ("/metrics", self._show_metrics),
            ("/openapi.json", self._openapi),
            ("/docs", self._docs),
            ("/", self._page_file),
            ("/page/{path:path}", self._page_file),
        ):
            routes.append(Route(path, self._bounded(path, handler), methods=["GET"]))
        routes.append(Route("/v1/lines", self._bounded("/v1/lines", self._lines), methods=["POST"]))
        routes.append(Route("/v1/watch", self._safely("/v1/watch", self._watch), methods=["GET"]))
        self._starlette = Starlette(routes=routes, exception_handlers={HTTPException: _not_routed})
        self._starlette.router.redirect_slashes = False  # an empty 307 tells nobody what to do

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI."""
        await self._starlette(scope, receive, send)

    # --- around each handler

    def _bounded(self, name: str, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if self._under_way >= REQUESTS_MAX:
                raise RefusedError("OVERLOADED", "too many requests are under way at this node", retry=True)
            self._under_way += 1
            try:
                return await handler(request)
            finally:
                self._under_way -= 1

        return self._safely(name, handle)

    def _safely(self, name: str, handler: Handler) -> Handler:
        """Whatever comes of it is an answer, and counted."""

        async def handle(request: Request) -> Response:
            try:
                _refuse_foreign(request)
                response = await handler(request)
                result = str(response.status_code)
            except RefusedError as refusal:
                result = refusal.code
                response = _refused(refusal, forwards=request.query_params.get("forward") != "false")
            except ClientDisconnect:
                result, response = "gone", Response(status_code=400)
            except Exception:
                logger.exception("a request over HTTP failed", route=name)
                result = "UNKNOWN_SERVER_ERROR"
                response = _refused(RefusedError(result, "this is a fault of ours; the log of the node has more"))
            self._traffic.requests[f"{request.method} {name}", result] += 1
            return response

        return handle

    def _asking(self, request: Request, options: Mapping[str, str] | None = None) -> Asking:
        pairs = request.query_params.multi_items() if options is None else list(options.items())
        found: dict[str, str] = {}
        for key, value in pairs:
            if key in found:
                raise RefusedError("BAD_ARGUMENT", f"{key[:64]} is given twice", details={"key": key[:64]})
            found[key] = value
        client = found.pop("client", None)
        strange = next((key for key in found if not _is_key(key)), None)
        if strange is not None:
            raise RefusedError("BAD_ARGUMENT", f"{strange[:64]!r} is no parameter", details={"key": strange[:64]})
        address = "" if request.client is None else str(Address(request.client.host, request.client.port))
        return Asking(self._service, with_client(Origin(address=address), client), found)

    # --- the CRD API

    def _crd(self, spec: RouteSpec) -> Handler:
        async def handle(request: Request) -> Response:
            ask = self._asking(request)
            fields = Fields({})
            if spec.has_body or request.method == "GET":
                record = spec.record if spec.record in _ENVELOPED else None
                fields = parse_body(await _body(request), record)
                if spec.record is not None:
                    fields.check_names(openapi.names_of(spec.record))
            reply = await spec.handle(ask, Call(request.path_params, fields))
            return _json(reply)

        return handle

    # --- lines and events

    async def _lines(self, request: Request) -> Response:
        ask = self._asking(request)
        if ask.options:
            raise RefusedError("BAD_ARGUMENT", "options go into the lines", details={"key": next(iter(ask.options))})
        requests = lines.read(await _body(request), ask.origin)
        return StreamingResponse(lines.answer(self._service, requests), media_type=lines.MEDIA_TYPE)

    async def _watch(self, request: Request) -> Response:
        if self._watchers >= events.WATCHERS_MAX:
            raise RefusedError("OVERLOADED", f"{events.WATCHERS_MAX} clients watch here already", retry=True)
        if self._stopping.is_set():
            raise RefusedError("STOPPING", "this node stops", retry=True)
        asked = await events.ask_of(self._asking(request), request.headers.get("last-event-id"))
        return _Events(self, events.EventStream(self._service, asked, self._stopping))

    def watcher_came(self) -> None:
        """A stream of events begins."""
        self._watchers += 1

    def watcher_went(self) -> None:
        """It is over."""
        self._watchers -= 1

    # --- of this node

    async def _status(self, request: Request) -> Response:
        ask = self._asking(request)
        status = await ask.ask("STATUS")
        quorum = await ask.ask_besides("QUORUM SHOW")
        body = {
            **status.pairs,
            "quorum": {**quorum.pairs, "replicas": [{"kind": row.kind, **row.pairs} for row in quorum.rows]},
        }
        return _json(Reply(body))

    async def _livez(self, request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def _readyz(self, request: Request) -> Response:
        """True exactly when a write would commit: asked of the leader and a majority."""
        health = await self._asking(request, {}).ask("HEALTH")
        ready, reasons = health.pairs["ready"] is True, health.pairs["reasons"]
        assert isinstance(reasons, list)
        if self._stopping.is_set():
            ready, reasons = False, [*reasons, "this node stops"]
        told = "ok\n" if ready else "not ready\n"
        if "verbose" in request.query_params:
            told = (
                "".join(f"[{'+' if ready else '-'}] {reason}\n" for reason in reasons or ["a write would commit"])
                + told
            )
        return Response(told, 200 if ready else 503, media_type="text/plain")

    async def _show_metrics(self, request: Request) -> Response:
        health = await self._asking(request, {}).ask("HEALTH")
        text = self._metrics.text(ready=health.pairs["ready"] is True)
        return Response(text, headers={"content-type": METRICS_TYPE})

    async def _openapi(self, request: Request) -> Response:
        if self._document is None:
            self._document = msgspec.json.encode(openapi.document((*ROUTES, *ALIASES), self._about.version))
        return Response(self._document, media_type="application/json")

    async def _docs(self, request: Request) -> Response:
        return Response(DOCS.read_bytes(), media_type="text/html")

    async def _page_file(self, request: Request) -> Response:
        """The live page: it asks by `/v1/lines` and `/v1/watch` as any client does."""
        found = self._page.get(request.path_params.get("path", "index.html"))
        if found is None:
            raise RefusedError("NOT_FOUND", "the page has no such file", hint="GET /")
        headers = {**page_files.HEADERS, "etag": found.etag}
        if found.is_known(request.headers.get("if-none-match")):
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers={**headers, "content-type": found.type})


class _Events(Response):
    """A response that is a stream of events."""

    def __init__(self, application: Application, stream: events.EventStream) -> None:
        super().__init__()
        self._application = application
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._application.watcher_came()
        try:
            await self._stream.run(receive, send)
        finally:
            self._application.watcher_went()


_ENVELOPED = (
    "RegisterBrokerRecord",
    "TopicRecord",
    "PartitionRecord",
    "ProducerIdsRecord",
    "RegistrationChangeBrokerRecord",
)


def _is_key(key: str) -> bool:
    return (
        0 < len(key) <= 64 and key.isascii() and key[0].isalpha() and all(one.isalnum() or one in "._-" for one in key)
    )


async def _body(request: Request) -> bytes:
    """The whole of it. Raises RefusedError: TOO_LARGE, REQUEST_TIMEOUT."""
    too_large = RefusedError("TOO_LARGE", f"a body has at most {BODY_SIZE_MAX} bytes")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > BODY_DRAINED_MAX:
        raise too_large
    parts: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_S) as scope:
        async for part in request.stream():
            size += len(part)
            if size > BODY_DRAINED_MAX:
                raise too_large
            if size > BODY_SIZE_MAX:
                parts.clear()
            else:
                parts.append(part)
    if size > BODY_SIZE_MAX:
        raise too_large
    if scope.cancelled_caught:
        raise RefusedError("REQUEST_TIMEOUT", f"the body did not arrive within {BODY_S:.0f} s", retry=True)
    return b"".join(parts)


def _refuse_foreign(request: Request) -> None:
    """A page of another origin may look, for browsers keep what it sees from it, but write nothing here."""
    origin = request.headers.get("origin")
    if request.method in ("GET", "HEAD") or origin is None:
        return
    if origin.partition("://")[2] != request.headers.get("host"):
        raise RefusedError("FORBIDDEN", "a page of another origin may not write here", details={"origin": origin[:128]})


def _json(reply: Reply) -> Response:
    return Response(msgspec.json.encode(reply.body), reply.status, dict(reply.headers), "application/json")


def _refused(refusal: RefusedError, *, forwards: bool = True) -> Response:
    body = msgspec.json.encode(problem_of(refusal, forwards=forwards))
    return Response(body, status_of(refusal, forwards=forwards), media_type=MEDIA_TYPE)


async def _not_routed(request: Request, error: Exception) -> Response:
    """What no route takes."""
    assert isinstance(error, HTTPException)
    code = (
        "METHOD_NOT_ALLOWED"
        if error.status_code == 405
        else "NOT_FOUND"
        if error.status_code == 404
        else "BAD_ARGUMENT"
    )
    path = request.url.path[:256]
    hint = f"{request.method} {path.rstrip('/')}" if path.endswith("/") and path.strip("/") else "GET /docs"
    response = _refused(RefusedError(code, f"{request.method} {path}: {error.detail}", hint=hint))
    if error.headers:
        response.headers.update(error.headers)
    return response
