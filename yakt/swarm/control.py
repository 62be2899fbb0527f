"""How to order a swarm that runs: by a Unix socket in the runtime directory, one line in, one JSON object out.

The directory is the user's alone, so whoever can connect may order.
"""

import json
import os
import re
import socket
import stat
import tempfile
from pathlib import Path

from yakt.errors import ConfigError, YaktError
from yakt.metadata.answers import Pairs

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


class NoSwarmError(YaktError):
    """There is no such swarm to order."""


def runtime_directory() -> Path:
    """Where the sockets are; made if need be. Raises ConfigError if it is not ours alone."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base) / "yakt" if base else Path(tempfile.gettempdir()) / f"yakt-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as exc:
        raise ConfigError([f"yakt swarm: {path} cannot be made: {exc.strerror}; set XDG_RUNTIME_DIR"]) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError([f"yakt swarm: {path} is not a directory of yours alone (0700); set XDG_RUNTIME_DIR"])
    return path


def socket_path(name: str) -> Path:
    """Where the swarm of that name listens."""
    return runtime_directory() / f"swarm-{name}.sock"


def is_served(path: Path) -> bool:
    """Whether a swarm listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True


def running() -> list[str]:
    """The names of the swarms that run, for this user."""
    found = sorted(runtime_directory().glob("swarm-*.sock"))
    return [path.stem.removeprefix("swarm-") for path in found if is_served(path)]


def order(name: str, line: str) -> Pairs:
    """Have the swarm of that name, or if "" the only one, obey a line; its answer. Raises NoSwarmError."""
    if not name:
        names = running()
        if not names:
            raise NoSwarmError("no swarm runs; begin one with, for instance: yakt swarm 20 --topics 10")
        if len(names) > 1:
            raise NoSwarmError(f"several swarms run: {', '.join(names)}; say which: --name {names[0]}")
        (name,) = names
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(socket_path(name)))
            sock.sendall(line.encode() + b"\n")
            with sock.makefile("rb") as stream:
                answer = stream.readline()
        except OSError:
            others = ", ".join(running()) or "none"
            raise NoSwarmError(f"no swarm called {name} runs; those that run: {others}") from None
    if not answer.endswith(b"\n"):
        raise NoSwarmError(f"the swarm {name} went away before it answered")
    found: Pairs = json.loads(answer)
    return found
