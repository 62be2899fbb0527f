"""A fresh clone: the scripts make .venv, say what goes wrong in one line, and start at once when it is there."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ("tools/yakt", "tools/yakt-shell", "tools/test", "tools/_setup.py")


def run(*command: str | Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would, `settings` added to the environment."""
    environment = {**os.environ, "PYTHON": sys.executable, **settings}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout without .venv, as small as the scripts need it: one package to run, nothing to install."""
    root = tmp_path / "check out"
    (root / "tools").mkdir(parents=True)
    for name in SCRIPTS:
        shutil.copy(ROOT / name, root / name)
    (root / "yakt").mkdir()
    (root / "yakt" / "__main__.py").write_text("import sys\nprint(sys.prefix, *sys.argv[1:], sep='|')\n")
    write_project(root, "pip")
    return root


def write_project(root: Path, *dependencies: str) -> None:
    extras = "shell = []\ntest = []\nlint = []\n"
    (root / "pyproject.toml").write_text(
        f"[project]\ndependencies = {list(dependencies)!r}\n[project.optional-dependencies]\n{extras}"
    )


@pytest.mark.slow
def test_first_use_and_warm_start(clone: Path, tmp_path: Path) -> None:
    first = run(clone / "tools" / "yakt", "a b", "c", cwd=tmp_path)
    assert first.stdout == f"{clone / '.venv'}|a b|c\n", first.stderr
    assert all(line.startswith("yakt: ") for line in first.stderr.splitlines())

    (tmp_path / "link").symlink_to(clone / "tools" / "yakt")
    began = time.perf_counter()
    warm = run(tmp_path / "link", "x", cwd=Path("/"))
    assert warm.stdout == f"{clone / '.venv'}|x\n"
    assert warm.stderr == ""
    assert time.perf_counter() - began < 1, "a warm start installs nothing"

    write_project(clone, "no-such-package-of-yakt @ file:///nowhere/none-1.0-py3-none-any.whl")
    changed = run(clone / "tools" / "yakt", cwd=tmp_path)
    assert changed.returncode == 1, "a changed pyproject.toml is looked at again"
    assert changed.stdout == ""
    assert changed.stderr.splitlines()[-1].startswith("yakt: pip install failed: ERROR: ")

    write_project(clone, "no-such-package-of-yakt")
    offline = run(clone / "tools" / "yakt", cwd=tmp_path, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert offline.returncode == 1
    assert offline.stderr.splitlines()[-1].startswith("yakt: pip could not get what pyproject.toml asks for: ")

    write_project(clone, "pip")
    moved = clone.rename(tmp_path / "moved")
    assert run(moved / "tools" / "yakt", cwd=tmp_path).stdout == f"{moved / '.venv'}\n"


@pytest.mark.slow
def test_two_at_once_take_turns_and_a_broken_venv_is_made_anew(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.9")
    command = [sys.executable, str(clone / "tools" / "_setup.py"), "use"]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("making" in line and "another" not in line for text in said for line in text.splitlines()) == 1
    assert run(clone / "tools" / "yakt", cwd=clone).stdout == f"{clone / '.venv'}\n"


def test_an_old_python_is_refused_in_one_line(clone: Path, tmp_path: Path) -> None:
    """This Python is made to look old, and PATH holds no other."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 9, 0)\nsys.version = '3.9.0 (test)'\n")
    for tool in ("cmp", "dirname", "readlink"):
        (site / tool).symlink_to(str(shutil.which(tool)))
    refused = run(clone / "tools" / "yakt", cwd=clone, PYTHONPATH=str(site), PATH=str(site))
    assert refused.returncode == 1
    assert refused.stderr == (
        f"yakt: Python 3.11 or newer is needed, {sys.executable} is 3.9.0: "
        "install one, or name it, PYTHON=/path/to/python3.11\n"
    )


def test_no_venv_module_says_what_to_install(clone: Path) -> None:
    site = clone / "site"
    (site / "venv").mkdir(parents=True)
    (site / "venv" / "__main__.py").write_text("raise SystemExit('ensurepip is not available')\n")
    (site / "venv" / "__init__.py").touch()
    refused = run(clone / "tools" / "yakt", cwd=clone, PYTHONPATH=str(site))
    assert refused.returncode == 1
    assert "apt-get install python3." in refused.stderr.splitlines()[-1]


def test_usage(clone: Path) -> None:
    assert (
        run(sys.executable, clone / "tools" / "_setup.py", cwd=clone).stderr == "yakt: usage: _setup.py use | tests\n"
    )


@pytest.mark.slow
def test_a_fresh_clone_of_this_checkout(tmp_path: Path) -> None:
    """The real thing, with what pip fetches."""
    probe = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(tmp_path), "attrs"]
    if subprocess.run(probe, capture_output=True, timeout=120).returncode != 0:
        pytest.skip("pip reaches no package index here")
    if not (ROOT / ".git").exists():
        pytest.skip("this checkout is no git repository")
    clone = tmp_path / "yakt"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    helped = run(clone / "tools" / "yakt", "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "check-config" in helped.stdout
    assert run(clone / "tools" / "test", "--version", cwd=tmp_path).returncode == 0
