"""What the comparison says of what it measured: ratios within rounds, CPU an operation, and which runs do not count."""

from typing import Any

import pytest

from tests.bench import compare


def measured(per_second: float, servers_cpu: float, others_cpu: float = 0.0) -> dict[str, Any]:
    return {
        "per_second": per_second,
        "servers_cpu": servers_cpu,
        "others_cpu": others_cpu,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "errors": 0,
        "cpu": 0.1,
    }


def test_ratios_are_taken_within_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    ours = [measured(100, 1.0), measured(1000, 1.0), measured(40, 1.0)]
    theirs = [measured(50, 1.0), measured(100, 1.0), measured(40, 1.0)]
    compare.report({"yakt": {1: ours}, "etcd put": {1: theirs}}, [1], [0.2])
    assert "2.00 (1.00-10.00) 2.0" in capsys.readouterr().out


def test_a_round_that_is_cut_short_is_told_as_far_as_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    ours = [measured(100, 1.0), measured(900, 1.0)]
    compare.report({"yakt": {1: ours}, "etcd put": {1: [measured(50, 1.0)]}}, [1], [0.2])
    assert "2.00 (2.00-2.00)" in capsys.readouterr().out


def test_cpu_is_told_by_the_operation() -> None:
    assert compare.cpu_us(measured(50_000, 1.5)) == pytest.approx(30)
    assert compare.cpu_us(measured(0, 1.5)) == 0


def test_runs_that_others_disturbed_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [measured(100, 1.0, 0.1), measured(100, 1.0, 0.2), measured(100, 1.0, 1.4)]
    compare.report({"yakt": {1: runs}}, [1], [0.2])
    assert "at most 1.40 of a core; 2 of 3 runs had more than 0.15" in capsys.readouterr().out


def test_without_go_all_is_left_out_visibly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare.shutil, "which", lambda _: None)
    monkeypatch.setattr("sys.argv", ["compare.py"])
    assert compare.main() == 0
    assert "left out" in capsys.readouterr().out
