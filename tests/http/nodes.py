"""Nodes as processes of their own, on free ports, and a plain client for them."""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from yakt.config import Config
from yakt.dev.configs import dev_configs, format_config

START_S = 30.0


@attrs.frozen
class Answer:
    """What a node answered: `body` is JSON values where it is JSON, else text."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def fields(self) -> dict[str, Any]:
        """Of a single record."""
        found = self.body["fields"]
        assert isinstance(found, dict)
        return found


def request(
    port: int, method: str, path: str, body: object = None, *, timeout: float = 15, headers: Any = None
) -> Answer:
    """Ask once. Bytes go as they are, anything else as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        found = response.read()
        kind = response.getheader("content-type", "")
        parsed = json.loads(found) if "json" in kind and "ndjson" not in kind else found.decode()
        return Answer(response.status, parsed, {key.lower(): value for key, value in response.getheaders()})
    finally:
        connection.close()


@attrs.define(eq=False)
class Node:
    """One node, perhaps running."""

    config: Config
    path: Path
    process: "subprocess.Popen[bytes] | None" = None
    log: list[str] = attrs.Factory(list)

    @property
    def port(self) -> int:
        """Of HTTP."""
        assert self.config.http is not None
        return self.config.http.listen.port

    def start(self) -> None:
        """Start, and wait until it serves."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "yakt", "serve", str(self.path)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        serving = threading.Event()
        thread = threading.Thread(target=self._listen, args=(self.process, serving), daemon=True)
        thread.start()
        assert serving.wait(START_S), "".join(self.log)
        assert self.process.poll() is None, "".join(self.log)

    def _listen(self, process: "subprocess.Popen[bytes]", serving: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.log.append(line.decode())
                if re.search(r"yakt node \d+ serving", self.log[-1]):
                    serving.set()
        serving.set()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """In order; its exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(15)
        self.process = None
        return status

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Answer:
        """See `request`."""
        return request(self.port, method, path, body, **more)

    def get(self, path: str, **more: Any) -> Answer:
        """GET."""
        return self.ask("GET", path, **more)

    def post(self, path: str, body: object = None, **more: Any) -> Answer:
        """POST."""
        return self.ask("POST", path, {} if body is None else body, **more)

    def lines(self, *lines: str) -> list[dict[str, Any]]:
        """POST /v1/lines."""
        answer = self.ask("POST", "/v1/lines", "".join(f"{line}\n" for line in lines).encode())
        assert answer.status == 200, answer
        return [json.loads(line) for line in answer.body.splitlines()]


@attrs.define(eq=False)
class Nodes:
    """A cluster."""

    all: Sequence[Node]

    def __getitem__(self, place: int) -> Node:
        return self.all[place]

    def __len__(self) -> int:
        return len(self.all)

    @property
    def up(self) -> list[Node]:
        """Those with a process."""
        return [node for node in self.all if node.process is not None]

    def leader(self) -> Node:
        """Who leads, as soon as a majority says so."""

        def found() -> Node | None:
            for node in self.up:
                # Its own word: the others may still name one that has just died.
                if node.get("/status").body["role"] == "leader" and node.get("/readyz").status == 200:
                    return node
            return None

        return until(found)


def until(look: Any, timeout: float = 20) -> Any:
    """What `look` finds, once it is something; it is asked of other processes, so time has to pass between."""
    end = time.monotonic() + timeout
    while True:
        found = None
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = look()
        if found:
            return found
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@contextlib.contextmanager
def open_nodes(directory: Path, count: int = 3, **changes: Any) -> Iterator[Nodes]:
    """A cluster that is up; `changes` to its configuration by table."""
    nodes = []
    for config in dev_configs(directory, nodes=count, base_port=0):
        for table, change in changes.items():
            config = attrs.evolve(config, **{table: attrs.evolve(getattr(config, table), **change)})
        path = directory / f"node{config.node.id}.toml"
        path.write_text(format_config(config))
        nodes.append(Node(config, path))
    found = Nodes(nodes)
    try:
        for node in nodes:
            node.start()
        found.leader()
        yield found
    finally:
        for node in nodes:
            node.kill()
