"""How a submission is cut into runs."""

from tests.node.cluster import parse
from yakt.node.runs import RUN_SIZE_MAX, cut


def runs_of(*lines: str) -> list[tuple[str, int]]:
    asked = [parse(line) for line in lines]
    found, start = [], 0
    while start < len(asked):
        kind, end = cut(asked, start)
        found.append((kind, end - start))
        start = end
    return found


def test_consecutive_commands_of_a_kind_go_together() -> None:
    assert runs_of("TOPIC DELETE a", "TOPIC DELETE b", "TOPIC LIST", "TOPIC SHOW a", "TOPIC DELETE c") == [
        ("write", 2),
        ("query", 2),
        ("write", 1),
    ]


def test_other_options_end_a_run() -> None:
    assert runs_of("TOPIC LIST", "TOPIC LIST read=local", "TOPIC LIST read=local") == [("query", 1), ("query", 2)]
    assert runs_of("TOPIC DELETE a", "TOPIC DELETE b timeout=9") == [("write", 1), ("write", 1)]


def test_an_ask_of_the_node_and_whatever_may_wait_stand_alone() -> None:
    assert runs_of("STATUS", "STATUS") == [("node", 1), ("node", 1)]
    assert runs_of("TOPIC LIST", "TOPIC LIST at=3", "TOPIC LIST") == [("query", 1), ("query", 1), ("query", 1)]
    assert runs_of("FETCH at=3 since=0", "FETCH at=3 since=0 wait=10") == [("query", 1), ("query", 1)]
    assert runs_of("FETCH since=0", "FETCH since=0 wait=10") == [("query", 1), ("query", 1)]


def test_questions_about_one_moment_of_the_past_go_there_together() -> None:
    assert runs_of("SUMMARY at=3", "TOPIC LIST at=3", "TOPIC LIST at=4", "STATUS", "SUMMARY at=4") == [
        ("query", 2),
        ("query", 1),
        ("node", 1),
        ("query", 1),
    ]


def test_a_run_of_writes_fits_into_one_forwarded_request() -> None:
    line = "CONFIG SET client-metrics/a metrics=" + "x" * 32_000
    lengths = [count for _, count in runs_of(*[line] * 40)]
    assert sum(lengths) == 40
    assert max(lengths) * len(line) <= RUN_SIZE_MAX
    assert len(lengths) == 3


def test_passwords_are_decided_one_by_one() -> None:
    secret = "SCRAM SET a password=b"
    assert runs_of("TOPIC DELETE a", secret, secret, "TOPIC DELETE b") == [("write", 1)] * 4
