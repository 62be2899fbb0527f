"""Kafka's tools, run one after another in one JVM a release (Tools.java), since each JVM takes seconds to start."""

import base64
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from yakt.dev.releases import Release

TOOL_S = 90.0
_SOURCE = Path(__file__).with_name("Tools.java")


@attrs.frozen
class Said:
    """How a tool ended and what it wrote."""

    status: int
    out: str
    err: str


class Tools:
    """One release's tools; a call at a time, from any thread. Made by `running_tools`."""

    def __init__(self, release: Release, process: "subprocess.Popen[str]") -> None:
        self.release = release
        self._process = process
        self._lock = threading.Lock()

    def run(self, tool: str, *arguments: str, stdin: str = "") -> Said:
        """Run one of yakt.dev.releases.TOOLS to its end, or any main class by its full name."""
        main = tool if "." in tool else self.release.main_of(tool)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            limit = threading.Timer(TOOL_S, self._process.kill)
            limit.start()
            try:
                words = (main, stdin, *arguments)
                self._process.stdin.write(" ".join(base64.b64encode(word.encode()).decode() for word in words) + "\n")
                self._process.stdin.flush()
                status, out, err = (self._process.stdout.readline() for _ in range(3))
            finally:
                limit.cancel()
        assert status, f"{tool} {arguments} took more than {TOOL_S:g} s, or ended the JVM"
        return Said(int(status), base64.b64decode(out).decode(), base64.b64decode(err).decode())

    def __call__(self, tool: str, *arguments: str, stdin: str = "") -> str:
        """What a tool printed; it must succeed."""
        said = self.run(tool, *arguments, stdin=stdin)
        assert said.status == 0, f"{tool} {arguments}: {said.out}\n{said.err[-3000:]}"
        return said.out


@contextmanager
def running_tools(release: Release) -> Iterator[Tools]:
    """A JVM that runs this release's tools; needs a JDK, which compiles the program."""
    assert shutil.which("javac"), "these tests need a JDK (Debian: apt-get install default-jdk-headless)"
    process = subprocess.Popen(
        release.command(str(_SOURCE)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    with process:
        try:
            yield Tools(release, process)
        finally:
            process.kill()
