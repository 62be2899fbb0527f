"""The configuration: what conf/ says, what is filled in, and every complaint with its line and path."""

from pathlib import Path

import pytest

from yakt.address import Address
from yakt.config import Config, Listener, LogConfig, QuorumConfig, load_config, parse_config
from yakt.errors import ConfigError
from yakt.ids import NodeId

CONF = Path(__file__).parent.parent / "conf"

SMALL = """\
[cluster]
id = "test"
voters = [
    { id = 1, address = "10.0.0.1:7101" },
    { id = 2, address = "10.0.0.2:7101" },
]
[node]
id = 1
data = "d"
"""


def complaints(text: str) -> list[str]:
    """What is said of a file named `f`."""
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "f")
    return list(refused.value.problems)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_cluster_of_conf(number: int) -> None:
    config = load_config(CONF / f"node{number}.toml")
    assert config.cluster.id == "eWFrdC1kZW1vLWNsdXN0ZQ"
    assert [(voter.id, str(voter.address)) for voter in config.cluster.voters] == [
        (1, "127.0.0.1:7101"),
        (2, "127.0.0.1:7102"),
        (3, "127.0.0.1:7103"),
    ]
    assert config.node.id == number
    assert config.node.data == Path(f"data/node{number}")
    assert str(config.peer.listen) == str(config.peer.advertised) == f"127.0.0.1:710{number}"
    assert str(config.line.listen) == str(config.line.advertised) == f"127.0.0.1:720{number}"
    assert config.http is not None
    assert str(config.http.listen) == str(config.http.advertised) == f"127.0.0.1:730{number}"
    assert config.kafka is not None
    assert str(config.kafka.listen) == str(config.kafka.advertised) == f"127.0.0.1:740{number}"


def test_conf_writes_down_the_defaults() -> None:
    written = load_config(CONF / "node1.toml")
    left_out = parse_config(SMALL, "f")
    assert (written.quorum, written.controller, written.log) == (left_out.quorum, left_out.controller, left_out.log)
    assert written.quorum == QuorumConfig(election_timeout_ms=300, fetch_timeout_ms=600, kraft_version=0)
    assert written.log == LogConfig(
        snapshot_bytes=20971520,
        snapshot_interval_ms=3600000,
        segment_bytes=1073741824,
        retention_bytes=104857600,
        retention_ms=604800000,
    )


def test_what_is_left_out_is_filled_in() -> None:
    config = parse_config(SMALL + "[http]\n[kafka]\n", "f")
    assert config.peer == Listener(Address("10.0.0.1", 7101), Address("10.0.0.1", 7101))
    assert config.line == Listener(Address("127.0.0.1", 7201), Address("127.0.0.1", 7201))
    assert config.http == Listener(Address("127.0.0.1", 7301), Address("127.0.0.1", 7301))
    assert config.kafka == Listener(Address("127.0.0.1", 7401), Address("127.0.0.1", 7401))


def test_on_a_wildcard_others_are_told_the_host_among_the_voters() -> None:
    config = parse_config(SMALL + '[line]\nlisten = "0.0.0.0:0"\n[peer]\nlisten = "[::]:7101"\n', "f")
    assert config.line.listen == Address("0.0.0.0", 0)
    assert config.line.advertised == Address("10.0.0.1", 0)
    assert config.line.told(40123) == Address("10.0.0.1", 40123)
    assert config.peer.told(7101) == Address("10.0.0.1", 7101)


def test_what_is_advertised_is_told_as_it_is() -> None:
    config = parse_config(SMALL + '[line]\nlisten = "0.0.0.0:7201"\nadvertised = "kafka.example:9"\n', "f")
    assert config.line.told(7201) == Address("kafka.example", 9)


def test_voters_are_found_by_id() -> None:
    cluster = parse_config(SMALL, "f").cluster
    assert cluster.voter(NodeId(2)).address == Address("10.0.0.2", 7101)
    with pytest.raises(KeyError):
        cluster.voter(NodeId(3))


def test_a_config_is_a_value() -> None:
    assert parse_config(SMALL, "f") == parse_config(SMALL, "g")
    assert isinstance(hash(parse_config(SMALL, "f")), int)


VOTER_1 = '    { id = 1, address = "10.0.0.1:7101" },\n'


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('id = "test"', 'id = ""', 'f:2: the text "" will not do: 1 to 22 characters'),
        ('id = "test"', 'id = "a+b"', 'f:2: the text "a+b" will not do'),
        ('id = "test"', f'id = "{"x" * 23}"', "f:2: the text"),
        ('id = "test"', "id = 7", "f:2: text in quotes is needed, found 7 @ $.cluster.id"),
        ('id = "test"\n', "", "f:1: is missing @ $.cluster.id"),
        ("id = 1\ndata", 'id = "1"\ndata', 'f:8: a whole number is needed, found the text "1" @ $.node.id'),
        ("id = 1\ndata", "id = true\ndata", "f:8: a whole number is needed, found true @ $.node.id"),
        ("id = 1\ndata", "id = 1.0\ndata", "f:8: a whole number is needed, found 1.0 @ $.node.id"),
        ("id = 1\ndata", "id = 1979-05-27\ndata", "found the time 1979-05-27 @ $.node.id"),
        ("id = 1\ndata", "id = -1\ndata", "f:8: -1 is too small, at least 0 @ $.node.id"),
        ("id = 1\ndata", "id = 2147483648\ndata", "f:8: 2147483648 is too large, at most 2147483647 @ $.node.id"),
        ("id = 1\ndata", "id = 3\ndata", "f:8: 3 is not among the voters (1, 2); each node is one of them @ $.node.id"),
        ('data = "d"', 'data = ""', 'f:9: a directory is needed, found the text "" @ $.node.data'),
        ('data = "d"', 'dta = "d"', 'f:9: unknown key "dta", did you mean "data"? @ $.node.dta'),
        (VOTER_1, VOTER_1 * 2, "f:5: 1 is the id of voters[0] too @ $.cluster.voters[1].id"),
        (VOTER_1, VOTER_1 * 2, 'f:5: "10.0.0.1:7101" is the address of voters[0] too @ $.cluster.voters[1].address'),
        ('"10.0.0.2:7101"', '"10.0.0.2:0"', 'f:5: "10.0.0.2:0": peers cannot dial port 0'),
        ('"10.0.0.2:7101"', '"[::]:7101"', 'f:5: "[::]:7101": peers cannot dial a wildcard'),
        ('"10.0.0.2:7101"', '"10.0.0.2"', 'f:5: "10.0.0.2" is not host:port @ $.cluster.voters[1].address'),
        ("{ id = 2, ", "{ ", "f:5: is missing @ $.cluster.voters[1].id"),
        ('{ id = 2, address = "10.0.0.2:7101" }', "2", "f:5: a table is needed, found 2 @ $.cluster.voters[1]"),
        ("[node]", "voters2 = 1\n[node]", 'f:7: unknown key "voters2", did you mean "voters"? @ $.cluster.voters2'),
        ("[node]", "[nodes]", 'f:7: unknown table or key "nodes", did you mean "node"? @ $.nodes'),
        ("[node]", "[nodes]", "f: the table [node] is missing @ $.node"),
        ("[node]", "[zzz]\n[node]", 'f:7: unknown table or key "zzz", known here: cluster, node, peer, line'),
        ("[node]", "[log]\nsegment_bytes = 4095\n[node]", "f:8: 4095 is too small, at least 4096 bytes"),
        ("[node]", "[log]\nsegment_bytes = 2147483648\n[node]", "is too large, at most 2147483647 bytes"),
        ("[node]", "[log]\nretention_ms = 99\n[node]", "f:8: 99 is too small, at least 100 ms @ $.log.retention_ms"),
        ("[node]", "[log]\nretention_ms = 9223372036854775808\n[node]", "too large"),
        ("[node]", "[quorum]\nfetch_timeout_ms = 99\n[node]", "at least 100 ms @ $.quorum.fetch_timeout_ms"),
        ("[node]", "[quorum]\nkraft_version = 2\n[node]", "2 is too large, at most 1 @ $.quorum.kraft_version"),
        (
            "[node]",
            "[quorum]\nkraft_version = true\n[node]",
            "a whole number is needed, found true @ $.quorum.kraft_version",
        ),
        ("[node]", "[quorum]\nkraft_version = 1\n[node]", "no table [kafka]: add it @ $.quorum.kraft_version"),
        ("[node]", "[quorum]\nelection = 1\n[node]", 'did you mean "election_timeout_ms"? @ $.quorum.election'),
        ("[node]", "[controller]\ndefault_replication = 0\n[node]", "at least 1 @ $.controller.default_replication"),
        ("[node]", "[controller]\nunclean_leader_election = 1\n[node]", "true or false is needed, found 1"),
        ("[node]", '[controller]\nsuper_users = ["admin"]\n[node]', "TYPE:NAME, such as User:admin"),
        ("[node]", '[controller]\nsuper_users = "User:a"\n[node]', "@ $.controller.super_users"),
        ("[node]", "[controller]\ndefault_replication = 32768\n[node]", "at most 32767"),
        ("[node]", "[line]\nlisten = 7201\n[node]", "f:8: text in quotes is needed, found 7201 @ $.line.listen"),
        ("[node]", "[line]\nport = 7201\n[node]", 'unknown key "port"'),
        ("[node]", '[line]\nadvertised = "0.0.0.0:1"\n[node]', 'f:8: "0.0.0.0:1": a wildcard cannot be told to others'),
        ("[node]", '[line]\nlisten = "10.0.0.1:7101"\n[node]', 'f:8: "10.0.0.1:7101" meets the peer listener\'s'),
        ("[node]", '[line]\nlisten = "[::]:7101"\n[node]', "meets the peer listener's"),
        ('[cluster]\nid = "test"', 'cluster = 3\n[c]\nid = "test"', "f:1: a table is needed, found 3 @ $.cluster"),
        ('data = "d"', 'data = "d', "f:9: not TOML: "),
        ('data = "d"', 'data = "d"\ndata = "e"', "f:10: not TOML: Cannot overwrite a value"),
    ],
)
def test_complaint(old: str, new: str, complaint: str) -> None:
    assert SMALL.count(old) == 1
    assert any(complaint in line for line in complaints(SMALL.replace(old, new))), complaints(SMALL.replace(old, new))


@pytest.mark.parametrize("voters", ["[]", "3", '"1@a:1"', '{ id = 1, address = "a:1" }'])
def test_voters_are_an_array_with_something_in_it(voters: str) -> None:
    [complaint] = complaints(f'[cluster]\nid = "c"\nvoters = {voters}\n[node]\nid = 1\ndata = "d"\n')
    assert complaint.startswith("f:3: ")
    assert complaint.endswith(" @ $.cluster.voters")


def test_every_fault_at_once_in_the_order_of_the_file() -> None:
    text = """\
[cluster]
id = "no good"
voters = [
    { id = 1, address = "127.0.0.1:7101" },
    { id = 1, address = "127.0.0.1:7101" },
    { id = true, adress = "127.0.0.1:7103" },
]
[node]
id = "1"
[line]
listen = "127.0.0.1"
[log]
segment_bytes = 1
retention_ms = 1.5
[kafka]
listen = "127.0.0.1:7301"
[http]
"""
    assert [complaint.split(" @ ")[1] + ":" + complaint.split(":")[1] for complaint in complaints(text)] == [
        "$.cluster.id:2",
        "$.cluster.voters[1].id:5",
        "$.cluster.voters[1].address:5",
        "$.cluster.voters[2].id:6",
        "$.cluster.voters[2].address:6",
        "$.cluster.voters[2].adress:6",
        "$.node.data:8",
        "$.node.id:9",
        "$.line.listen:11",
        "$.log.segment_bytes:13",
        "$.log.retention_ms:14",
        "$.kafka.listen:16",
    ]


def test_an_empty_file_lacks_two_tables() -> None:
    assert complaints("") == [
        "f: the table [cluster] is missing @ $.cluster",
        "f: the table [node] is missing @ $.node",
    ]


def test_deep_nesting_is_a_complaint() -> None:
    assert len(complaints("x = " + "[" * 100_000)) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def complaint_of(path: Path) -> str:
        with pytest.raises(ConfigError) as refused:
            load_config(path)
        [problem] = refused.value.problems
        return problem.removeprefix(str(path))

    assert complaint_of(tmp_path / "none.toml") == ": cannot be read: No such file or directory"
    assert complaint_of(tmp_path) == ": cannot be read: Is a directory"
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"[cluster]\n# caf\xe9\n")
    assert complaint_of(latin) == ":2: is not UTF-8 text"
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (1 << 20) + b"\n")
    assert complaint_of(large) == ": is longer than 1048576 bytes; is it a configuration?"


def test_loading_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(SMALL.replace("10.0.0.2:7101", "10.0.0.2"))
    with pytest.raises(ConfigError, match=r"node\.toml:5: "):
        load_config(file)
    file.write_text(SMALL)
    assert isinstance(load_config(file), Config)
