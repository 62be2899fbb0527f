"""The controller at scale, on a small one: that all is measured, and that its budget can be missed."""

import json
from typing import Any

import pytest

from yakt.bench import image
from yakt.cli import main


def test_everything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    scale = ["--topics", "30", "--partitions", "60", "--brokers", "6", "--led", "1500"]
    assert main(["bench", "image", "--json", *scale]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fence"]["records"] >= 1501  # each partition moved, and the fence
    assert report["fence"]["turns"] > 1
    assert report["balance"]["records"] >= 1500
    assert report["memory"]["bytes_a_partition"] > 0
    assert report["small_topics"]["partitions"] == image.SMALL


def test_a_scale_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "image", "--brokers", "3", "--led", "0"]) == 1
    said = capsys.readouterr().err
    assert "--brokers 3: 4 at least" in said
    assert "--led 0" in said


def test_what_is_over_the_budget_is_named() -> None:
    report: dict[str, Any] = {
        "memory": {"bytes_a_partition": 400.0},
        "fence": {"leader_s": 2.0, "longest_ms": 10.0},
    }
    assert image.over_budget(report) == ["2 s to fence, at the leader, 1 allowed"]
