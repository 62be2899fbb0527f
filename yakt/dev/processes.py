"""One program as a process: started, killed, paused, stopped, and its death noticed. Knows not what it runs.

Each runs in a session of its own, so that Ctrl-C at the terminal reaches `yakt dev` alone, which then stops them in
order; and on a leash, so that none is left over when `yakt dev` itself is killed. What a program writes comes through
a pipe and goes to its log file: the line that says it serves is the event to wait for.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import trio

from yakt.dev import leash
from yakt.errors import YaktError

_LAST_LINES = 12
_LINE_SIZE_MAX = 4096
_STACK_FRAME = "\tat "
"""Of Java: there are dozens, and the line above them says what happened."""

State: TypeAlias = Literal["down", "starting", "serving", "paused", "dying"]
Tell: TypeAlias = Callable[[str], None]
"""Says a line to whoever watches."""


class ProcessError(YaktError):
    """A process is not in the state that this asks for, or did not come up."""


@attrs.define(eq=False, kw_only=True)
class Process:
    """A program's place, and its process while it has one. What it runs and how it says that it serves: a subclass."""

    id: int
    noun: str
    """`node`, `broker`: with the id, what people call it."""
    log_path: Path
    tell: Tell
    state: State = "down"
    process: "subprocess.Popen[bytes] | None" = None
    last_lines: deque[str] = attrs.field(factory=lambda: deque(maxlen=_LAST_LINES))
    _end_is_ours: bool = False
    _has_served: bool = False
    _state_changed: trio.Event = attrs.field(factory=trio.Event)

    def command(self) -> Sequence[str]:
        """What to run; its first word is the path of a program."""
        raise NotImplementedError

    def notice(self, line: str) -> bool:
        """Whether this line of its log says that it serves now; asked while it starts."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.noun} {self.id}"

    def start(self, nursery: trio.Nursery) -> None:
        """Start it, looked after in `nursery`; or let it go on if it is paused. Raises ProcessError if it runs."""
        if self.state == "paused":
            self.resume()
            return
        if self.state != "down":
            raise ProcessError(f"{self.name} runs")
        # From the thread that lives longest, for the leash: another one would end the process with itself.
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        self.last_lines.clear()
        self._end_is_ours = False
        self.become("starting")
        nursery.start_soon(self._attend, self.process)

    async def kill(self) -> None:
        """SIGKILL: no last words, as in a crash; returns when it is gone. Raises ProcessError if it does not run."""
        self._end(signal.SIGKILL)
        await self.wait_until("down")

    def terminate(self) -> None:
        """SIGTERM, an end in order, which takes its time: `wait_until("down")`. Raises ProcessError if it is down."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: it hangs, with all its connections open. Raises ProcessError if it does not run."""
        self._check_runs()
        if self.state == "paused":
            raise ProcessError(f"{self.name} is paused already")
        self.signal(signal.SIGSTOP)
        self.become("paused")
        self.tell(f"{self.name} is paused (SIGSTOP)")

    def resume(self) -> None:
        """SIGCONT. Raises ProcessError if it is not paused."""
        if self.state != "paused":
            raise ProcessError(f"{self.name} is not paused")
        self.signal(signal.SIGCONT)
        self.become("serving" if self._has_served else "starting")
        self.tell(f"{self.name} goes on (SIGCONT)")

    def _end(self, number: signal.Signals) -> None:
        self._check_runs()
        self._end_is_ours = True
        self.signal(number)
        self.signal(signal.SIGCONT)
        self.become("dying")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it may have ended just now."""
        if self.process is not None:
            self.process.send_signal(number)

    def become(self, state: State) -> None:
        """Change the state, and wake whoever waits for that."""
        self.state = state
        self._has_served = state == "serving" or (self._has_served and state != "starting")
        self._state_changed.set()
        self._state_changed = trio.Event()

    async def wait_until(self, *states: State) -> None:
        """Until it is in one of these states."""
        while self.state not in states:
            await self._state_changed.wait()

    async def wait_while(self, state: State) -> None:
        """Until it is in another state."""
        while self.state == state:
            await self._state_changed.wait()

    async def wait_ended(self) -> None:
        """Until its process is gone and reaped."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        handle = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                await trio.lowlevel.wait_readable(handle)
        finally:
            os.close(handle)

    def last_words(self) -> list[str]:
        """The last lines of its log, for people."""
        return [f"    {line}" for line in self.last_lines] or ["    (it said nothing)"]

    def _check_runs(self) -> None:
        if self.state == "down":
            raise ProcessError(f"{self.name} is down; `start {self.id}` starts it")

    async def _attend(self, process: "subprocess.Popen[bytes]") -> None:
        """Keep the log of one process, and say how it ended."""
        assert process.stdout is not None
        # The stream closes what it is given, and so would Popen.
        async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as stream:
            process.stdout.close()
            with self.log_path.open("ab", buffering=0) as log:  # whoever reads it meanwhile sees all of it
                await self._keep_log(stream, log.write)
        await self.wait_ended()
        how = describe_end(process.returncode)
        if self._end_is_ours:
            self.tell(f"{self.name} {how}")
        else:
            self.tell("\n".join([f"{self.name} {how}, unasked; its last lines:", *self.last_words()]))
        self.become("down")

    async def _keep_log(self, stream: trio.abc.ReceiveStream, write: Callable[[bytes], object]) -> None:
        """All that it says, into its log and, the last lines, into `last_lines`, until it hangs up."""
        rest = b""
        async for chunk in stream:
            data = bytes(chunk)
            write(data)
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_LINE_SIZE_MAX:]
            for line in lines:
                text = line[:_LINE_SIZE_MAX].decode("utf-8", "replace").rstrip()
                if not text.startswith(_STACK_FRAME):
                    self.last_lines.append(text)
                if self.state == "starting" and self.notice(text):
                    self.become("serving")
        if rest:
            self.last_lines.append(rest.decode("utf-8", "replace"))


async def wait_serving(processes: Sequence[Process], limit_s: float) -> None:
    """Until all of these serve. Raises ProcessError if one does not get there."""
    with trio.move_on_after(limit_s) as limit:
        for process in processes:
            await process.wait_until("serving", "dying", "down")
    for process in processes:
        if limit.cancelled_caught and process.state == "starting":
            words = process.last_words()
            raise ProcessError("\n".join([f"{process.name} does not serve after {limit_s:g} s; it said:", *words]))
        if process.state != "serving":
            raise ProcessError(f"{process.name} ended before it served")


async def stop(processes: Iterable[Process], limit_s: float, tell: Tell) -> None:
    """SIGTERM to all, and SIGKILL to those that have not stopped in time. Not to be cancelled."""
    alive = [process for process in processes if process.state != "down"]
    for process in alive:
        process._end_is_ours = True
        process.signal(signal.SIGCONT)
        process.signal(signal.SIGTERM)
    with trio.move_on_after(limit_s) as limit:
        for process in alive:
            await process.wait_ended()
    if limit.cancelled_caught:
        late = [process for process in alive if process.process is not None and process.process.poll() is None]
        tell(f"killed, for not stopping within {limit_s:g} s: {alive[0].noun} {', '.join(str(one.id) for one in late)}")
        kill_all(late)
        for process in late:
            await process.wait_ended()


def kill_all(processes: Iterable[Process]) -> None:
    """SIGKILL to every one that still runs."""
    for process in processes:
        process._end_is_ours = True
        process.signal(signal.SIGKILL)


def describe_end(status: int) -> str:
    """What a process's exit status, as Popen has it, means in words."""
    if status == 0:
        return "stopped"
    if status == 128 + signal.SIGTERM:  # what a JVM says after it has shut down in order
        return "stopped (SIGTERM)"
    if status > 0:
        return f"ended with exit status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed ({signal.Signals(-status).name})"
    return f"was killed (signal {-status})"
