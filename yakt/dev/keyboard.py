"""Lines from standard input, whatever it is: a terminal, a pipe, a file, /dev/null, or closed. Can be cancelled."""

import os
import sys

import trio

_LINE_SIZE_MAX = 1 << 16
_STDIN = 0


class Keyboard:
    """Waits without a thread, and leaves the terminal as it is: O_NONBLOCK would also be our output's."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_pollable = True
        self._is_open = sys.stdin is not None and _is_ours()

    @property
    def is_terminal(self) -> bool:
        """Whether a person is likely to type."""
        return self._is_open and os.isatty(_STDIN)

    async def read_line(self) -> str | None:
        """The next line without its end; None when there are no more."""
        while b"\n" not in self._rest and len(self._rest) < _LINE_SIZE_MAX:
            chunk = await self._read()
            if not chunk:
                line, self._rest = self._rest, b""
                return line.decode("utf-8", "replace") if line else None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")

    async def _read(self) -> bytes:
        if not self._is_open:
            return b""
        if self._is_pollable:
            try:
                await trio.lowlevel.wait_readable(_STDIN)
            except PermissionError:  # a file or /dev/null, which never keeps anyone waiting
                self._is_pollable = False
        await trio.lowlevel.checkpoint()
        try:
            return os.read(_STDIN, 4096)
        except OSError:  # a terminal that hung up
            self._is_open = False
            return b""


def _is_ours() -> bool:
    """Not so for a job in the background: reading from its terminal would stop it."""
    return not os.isatty(_STDIN) or os.tcgetpgrp(_STDIN) == os.getpgrp()
