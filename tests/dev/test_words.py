"""The pure parts of dev: what is typed, who leads, which configurations."""

import socket
from pathlib import Path

import pytest

from yakt.cli import main
from yakt.config import load_config
from yakt.dev.configs import check_ports, dev_configs, format_config
from yakt.dev.elections import Elections, Standing
from yakt.dev.typed import ForCluster, OnProcess, Ours, Typed, TypedError, read_typed
from yakt.errors import ConfigError
from yakt.ids import Epoch, Instant, NodeId


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", None),
        ("  kill  2 ", OnProcess("kill", 2)),
        ("LEADER 3", OnProcess("leader", 3)),
        ("status", Ours("status")),
        ("exit", Ours("quit")),
        ("topic create orders", ForCluster("topic create orders")),
        ('@a TOPIC CREATE x reason="kill 2"', ForCluster('@a TOPIC CREATE x reason="kill 2"')),
        ("?", ForCluster("?")),
    ],
)
def test_typed(text: str, meaning: Typed) -> None:
    assert read_typed(text) == meaning


@pytest.mark.parametrize("text", ["kill", "kill 1 2", "start node2", "pause -1", "pause ²"])
def test_typed_wrongly(text: str) -> None:
    with pytest.raises(TypedError, match="which one"):
        read_typed(text)


def standings(**nodes: tuple[str, int | None, int]) -> dict[NodeId, Standing]:
    return {
        NodeId(int(name[1:])): Standing(role, None if leader is None else NodeId(leader), Epoch(epoch))
        for name, (role, leader, epoch) in nodes.items()
    }


def test_an_election_is_told_once_and_timed() -> None:
    elections = Elections()

    def observe(now: float, **nodes: tuple[str, int | None, int]) -> list[str]:
        return list(elections.observe(standings(**nodes), Instant(now)))

    assert observe(0, n1=("unattached", None, 0), n2=("unattached", None, 0)) == []
    assert observe(1, n1=("leader", 1, 1), n2=("follower", 1, 1)) == ["node 1 leads, epoch 1"]
    assert observe(2, n1=("leader", 1, 1), n2=("follower", 1, 1)) == []
    elections.lost(NodeId(2), Instant(3))  # a follower: nothing to tell
    elections.lost(NodeId(1), Instant(4))
    assert observe(4.1, n2=("candidate", None, 2), n3=("follower", 1, 1)) == []
    [told] = observe(4.5, n2=("leader", 2, 2), n3=("follower", 1, 1))
    assert told == "node 2 leads, epoch 2: elected after 0.50 s without a leader"
    # The old leader comes back and does not know yet.
    assert observe(5, n1=("leader", 1, 1), n2=("leader", 2, 2)) == []


def test_a_leader_that_was_slow_to_answer_was_not_elected_again() -> None:
    elections = Elections(NodeId(1), Epoch(3))
    elections.lost(NodeId(1), Instant(4))
    assert list(elections.observe(standings(n1=("leader", 1, 3)), Instant(5.5))) == [
        "node 1 leads, epoch 3: it answers again"
    ]
    assert list(elections.observe(standings(n1=("leader", 1, 3)), Instant(6))) == []


def test_a_leader_that_stands_down_and_one_that_hands_over() -> None:
    elections = Elections(NodeId(1), Epoch(3))
    now = Instant(0)
    assert list(elections.observe(standings(n1=("resigned", None, 3), n2=("prospective", None, 3)), now)) == [
        "node 1 leads no more (epoch 3)"
    ]
    assert elections.leader is None
    elections = Elections(NodeId(1), Epoch(3))
    assert list(elections.observe(standings(n1=("follower", 3, 4), n3=("leader", 3, 4)), now)) == [
        "node 3 leads, epoch 4: it has taken over"
    ]


def test_configs_of_conf(tmp_path: Path) -> None:
    configs = dev_configs(tmp_path, nodes=3, base_port=None)
    assert [str(config.line.listen) for config in configs] == ["127.0.0.1:7201", "127.0.0.1:7202", "127.0.0.1:7203"]
    assert [config.node.data for config in configs] == [tmp_path / f"node{number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(("nodes", "base_port"), [(5, None), (5, 0), (3, 8100), (1, None)])
def test_configs_are_written_as_they_are_read(tmp_path: Path, nodes: int, base_port: int | None) -> None:
    configs = dev_configs(tmp_path / 'a "quoted" näme', nodes=nodes, base_port=base_port)
    assert len(configs) == nodes
    for config in configs:
        assert len(config.cluster.voters) == nodes
        assert config.line.listen.port == config.peer.listen.port + 100
        path = tmp_path / "node.toml"
        path.write_text(format_config(config), encoding="utf-8")
        assert load_config(path) == config


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = dev_configs(tmp_path, nodes=3, base_port=0)
    check_ports(configs)
    with socket.create_server(("127.0.0.1", configs[1].line.listen.port)):
        with pytest.raises(ConfigError) as raised:
            check_ports(configs)
        base_port = configs[0].peer.listen.port - 1
        assert main(["dev", "--base-port", str(base_port)]) == 1
    [problem] = raised.value.problems
    assert capsys.readouterr().err == problem + "\n"
    assert problem == (
        f"yakt dev: port {base_port + 102} (line port of node 2) cannot be had: it is in use; "
        "is another yakt dev running? Other ports: yakt dev --base-port 8100"
    )
