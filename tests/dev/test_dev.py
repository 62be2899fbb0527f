"""`yakt dev` with real nodes: the tour, and a person at a terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect

DEV = [sys.executable, "-m", "yakt", "dev", "--base-port", "0"]


def test_the_tour(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    tour = subprocess.run(
        [*DEV, "--tour"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=environment
    )
    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert re.search(r"\d\.\d\d s from the kill to the next commit", tour.stdout)
    assert "That was the tour." in tour.stdout
    assert tour.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_person_at_a_terminal(tmp_path: Path) -> None:
    dev = pexpect.spawn(DEV[0], [*DEV[1:], "--data", str(tmp_path)], encoding="utf-8", timeout=60, dimensions=(50, 160))
    try:
        dev.expect("Ctrl-C ends it")
        dev.expect(r"node (\d) leads, epoch \d+\r\n")
        first = int(dev.match[1])
        dev.sendline("broker register 11 host=localhost port=9092 session=3600000")
        dev.expect(r"\r\nOK offset=\d+ epoch=\d+ uuid=\S+ fenced=true\r\n")
        dev.sendline("broker heartbeat 11")
        dev.expect(r"\r\nOK offset=\d+ fenced=false")
        dev.sendline("topic create orders")
        dev.expect(r"offset \d+: [^\r\n]*orders")

        second = first % 3 + 1
        dev.sendline(f"leader {second}")
        dev.expect(rf"node {second} leads, epoch \d+")
        dev.sendline(f"kill {second}")
        dev.expect(rf"node {second} was killed \(SIGKILL\)")
        dev.expect(rf"node [^{second}] leads, epoch \d+: elected after \d+\.\d\d s without a leader")
        dev.sendline(f"start {second}")
        dev.expect(rf"node {second} starts")
        dev.sendline("config set topic/orders retention.ms=1000")
        awaited = [r"\r\nOK offset=\d+\r\n", r"offset \d+: [^\r\n]*retention.ms"]
        while awaited:  # the feed may be quicker than the answer
            del awaited[dev.expect(awaited)]
        dev.sendline("topic creat x")
        dev.expect("did-you-mean")
        dev.sendintr()
        dev.expect("stopping")
        dev.expect(pexpect.EOF)
    finally:
        dev.close(force=True)
    assert dev.exitstatus == 0
    assert (tmp_path / "node1" / "__cluster_metadata-0").is_dir()
    assert "Traceback" not in "".join(path.read_text() for path in tmp_path.glob("*.log"))
