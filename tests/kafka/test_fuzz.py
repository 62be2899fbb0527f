"""Some seconds of the fuzzer, from the frames that README.md quotes; endless by hand (fuzz.py)."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka import fuzz
from tests.kafka.test_golden import FRAMES
from yakt.kafka import codec

RUNS = 30_000


def seeds() -> list[bytes]:
    """The quoted requests and, under every answer's number that reads them, the quoted answers."""
    frames = [frame[4:] for frame in FRAMES.values()]
    candidates = [bytes((kind,)) + frame for frame in frames for kind in range(len(fuzz.ANSWERS) + 1)]
    return [candidate for candidate in candidates if fuzz.check(candidate)]


def test_the_seeds_are_something() -> None:
    assert len(seeds()) >= len(FRAMES)


def test_the_check_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    [*_, request] = [seed for seed in seeds() if seed[0] == 0]
    monkeypatch.setattr(codec, "decode_body", lambda header, frame: frame[9999])
    with pytest.raises(IndexError):
        fuzz.check(request)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
def test_what_coverage_finds(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / str(number)).write_bytes(seed)
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.kafka.fuzz", f"-runs={RUNS}", "-seed=1", "-max_len=4096", "-rss_limit_mb=1024",
            f"-artifact_prefix={tmp_path}/", str(corpus),
        ],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr
