"""Runs a program that cannot outlive its parent: `leash.py PARENT_PID PROGRAM ARGUMENT…`. Knows nothing of yakt.

The kernel sends SIGKILL when the *thread* that forked us ends (PR_SET_PDEATHSIG; it survives the exec): whoever starts
us must do so from the thread that lives longest, its main one. A stopped process gets it too, where watching a pipe
would not help.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it went before we asked
        sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
