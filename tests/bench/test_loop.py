"""The loop of three nodes without a kernel: that it commits, and that its budget can be missed."""

from yakt.bench import loop


def test_three_nodes_commit_in_one_process() -> None:
    cost = loop.Loop().measure(2, 3, seconds=0.1)
    assert cost.shape == "2x3"
    assert cost.cycles > 0
    assert cost.leader_us > cost.follower_us > 0
    assert cost.all_us == cost.leader_us + 2 * cost.follower_us


def test_what_is_over_the_budget_is_named() -> None:
    quick = loop.Cost(shape="128x1", cycles=1, leader_us=1.0, follower_us=1.0)
    slow = loop.Cost(shape="10x100", cycles=1, leader_us=1.0, follower_us=99.0)
    assert loop._over_budget([quick]) == []
    assert loop._over_budget([quick, slow]) == ["10x100 follower: 99.00 µs a command, 2.4 allowed"]
