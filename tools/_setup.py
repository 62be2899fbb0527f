"""Make .venv from pyproject.toml; what stands behind tools/yakt, tools/test and tools/yakt-shell.

    python3 tools/_setup.py use      what it takes to run yakt
    python3 tools/_setup.py tests    and what the tests and checks need besides

Needs nothing but Python 3.11 with venv and pip. A finished `.venv` holds a copy of the pyproject.toml it was made from,
`made-for-use.toml` or `made-for-tests.toml`: the scripts compare that copy themselves, so a warm start never gets here.
Two that start at once take turns; one that was interrupted is finished by the next. Whatever goes wrong is one line on
standard error and exit status 1.

The checkout itself is not installed: a .pth file with a relative path leads to it, so the checkout may be moved.
"""

# Everything above `main` must at least parse on an old Python, which is then refused (or replaced) with a clear line.
import fcntl
import os
import shutil
import subprocess
import sys
from collections import deque
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PURPOSES = {"use": ("use",), "tests": ("use", "tests")}


class SetupError(Exception):
    """What went wrong and what to do about it, in one line."""


def say(line):
    print("yakt: " + line, file=sys.stderr, flush=True)


def new_enough_python():
    """This Python, or another on PATH that is new enough, by its real path.

    The real path (`/usr/bin/python3.11`, not `/usr/bin/python3`): should the system move on to another Python,
    `.venv/bin/python` dangles and is made anew, where it would otherwise run without its packages.
    """
    if sys.version_info >= OLDEST:
        return os.path.realpath(sys.executable)
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)  # noqa: UP031
        if found:
            return os.path.realpath(found)
    raise SetupError(
        "Python %d.%d or newer is needed, %s is %s: install one, or name it, PYTHON=/path/to/python3.11"  # noqa: UP031
        % (*OLDEST, sys.executable, sys.version.split()[0])
    )


def requirements(purpose):
    """What pyproject.toml asks for: the core and the faces for `use`, every extra for `tests`."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [name for name in extras if purpose == "tests" or name not in ("test", "lint")]
    return project["dependencies"] + [requirement for name in wanted for requirement in extras[name]]


def venv_works():
    """Whether `.venv` has a Python that runs, is new enough and has pip; not so if its making was interrupted."""
    if not os.access(PYTHON, os.X_OK):
        return False
    probe = "import sys, pip; sys.exit(sys.version_info < {!r})".format(OLDEST)  # noqa: UP032
    return subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode == 0


def make_venv():
    made = subprocess.run(
        [os.path.realpath(sys.executable), "-m", "venv", "--clear", str(VENV)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        output = made.stdout + made.stderr
        if "ensurepip" in output or "No module named" in output:
            version = "{}.{}".format(*sys.version_info[:2])
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment with pip: on Debian and Ubuntu, "
                f"apt-get install python{version}-venv; elsewhere, install Python {version} with venv and pip"
            )
        raise SetupError(f"python -m venv {VENV} failed: {last_line(output)}")
    [library] = (VENV / "lib").glob("python3.*")
    (library / "site-packages" / "checkout.pth").write_text("../../../..\n", encoding="utf-8")


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no output"])[-1]


def install(purpose):
    """Run pip; say what it fetches where somebody watches, and keep its words for the line that explains a failure."""
    wanted = requirements(purpose)
    say(f"installing {len(wanted)} packages and what they need into {VENV} (once, a minute or so)")
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *wanted]
    words = deque(maxlen=200)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for line in pip.stdout:
            words.append(line)
            step = line.split()
            if sys.stderr.isatty() and step[:1] in (["Collecting"], ["Installing"]):
                print(f"\r\033[Kyakt: {' '.join(step[:2])[:70]}", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    if pip.returncode != 0:
        output = "".join(words)
        if "Errno -" in output or "NewConnectionError" in output or "No matching distribution" in output:
            raise SetupError(
                "pip could not get what pyproject.toml asks for: "
                f"{last_line(output)}; is there a network, or an index in pip's settings? Then start again"
            )
        raise SetupError(f"pip install failed: {last_line(output)}")


def set_up(purpose):
    asked_of = (ROOT / "pyproject.toml").read_bytes()
    lock = os.open(ROOT / "tools", os.O_RDONLY)  # a directory can be locked, and leaves no file behind
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another start is making .venv; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)
    stamps = [VENV / f"made-for-{part}.toml" for part in PURPOSES[purpose]]
    works = venv_works()
    if works and all(stamp.is_file() and stamp.read_bytes() == asked_of for stamp in stamps):
        return  # whoever held the lock has just done it
    if not works:
        say(f"making {VENV}")
        make_venv()
    install(purpose)
    for stamp in stamps:
        stamp.write_bytes(asked_of)


def main():
    purpose = sys.argv[1] if len(sys.argv) == 2 else ""
    if purpose not in PURPOSES:
        raise SetupError("usage: _setup.py use | tests")
    python = new_enough_python()
    if sys.version_info < OLDEST:
        os.execv(python, [python, os.path.abspath(__file__), purpose])
    set_up(purpose)


if __name__ == "__main__":
    try:
        main()
    except SetupError as exc:
        say(str(exc))
        sys.exit(1)
    except OSError as exc:
        say(f"cannot make {VENV}: {exc}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; the next start goes on from here")
        sys.exit(130)
