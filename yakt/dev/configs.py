"""The configurations of the nodes that `yakt dev` runs, and whether their ports are free; starts nothing."""

import errno
import json
import random
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from yakt.address import Address
from yakt.config import ClusterConfig, Config, Listener, NodeConfig, VoterAddress, load_config
from yakt.errors import ConfigError
from yakt.ids import NodeId

CONF = Path(__file__).resolve().parents[2] / "conf"
"""Beside the package in a checkout; an installed yakt has none, and goes by the defaults."""
BASE_PORT = 7100
"""Node n: base + n for peers, base + 100 + n for lines, + 200 for HTTP, + 300 for Kafka; broker n: base + 400 + n."""
FIRST_BROKER = 11
"""No broker may have a node's id."""
_BROKERS = 400
_SPAN = 500
_CLUSTER_ID = "eWFrdC1kZW1vLWNsdXN0ZQ"
_HOST = "127.0.0.1"
_OFFSETS = {"peer": 0, "line": 100, "http": 200, "kafka": 300}
# Below the ports that outgoing connections are given (32768 and up), or one of those may sit on ours.
_FREE_PORTS = range(10_000, 32_000, _SPAN)


def dev_configs(directory: Path, *, nodes: int, base_port: int | None) -> tuple[Config, ...]:
    """Nodes 1 to `nodes` with their data below `directory`: those of conf/ where it has them and no port is asked for.

    `base_port` 0: one whose ports are free. Raises ConfigError for a faulty file, or no free ports.
    """
    conf = _conf()
    if base_port is None and len(conf) == nodes:
        configs: Sequence[Config] = conf
    elif base_port == 0:
        configs = _free_configs(conf, nodes)
    else:
        configs = _numbered(conf, nodes, BASE_PORT if base_port is None else base_port)
    return tuple(
        attrs.evolve(config, node=attrs.evolve(config.node, data=directory / f"node{config.node.id}"))
        for config in configs
    )


def for_brokers(configs: Sequence[Config], brokers: int) -> tuple[tuple[Config, ...], dict[int, int]]:
    """The same nodes, as a cluster of so many brokers wants them; and the brokers' ports by id.

    A topic then has three replicas, or as many as there are brokers, where nobody says how many.
    """
    base_port = configs[0].peer.listen.port - configs[0].node.id
    made = []
    for config in configs:
        address = Address(_HOST, base_port + _OFFSETS["kafka"] + config.node.id)
        controller = attrs.evolve(config.controller, default_replication=min(3, brokers))
        made.append(attrs.evolve(config, kafka=config.kafka or Listener(address, address), controller=controller))
    ids = range(FIRST_BROKER, FIRST_BROKER + brokers)
    return tuple(made), {broker_id: base_port + _BROKERS + broker_id for broker_id in ids}


def check_ports(configs: Sequence[Config], broker_ports: Mapping[int, int] | None = None) -> None:
    """Raise ConfigError that names the first port somebody else listens on, and what to do."""
    wanted = [(f"{name} of node {config.node.id}", address) for config, name, address in _ports(configs)]
    wanted += [(f"broker {broker_id}", Address(_HOST, port)) for broker_id, port in (broker_ports or {}).items()]
    for name, address in wanted:
        reason = _why_taken(address)
        if reason is not None:
            raise ConfigError(
                [
                    f"yakt dev: port {address.port} ({name}) cannot be had: {reason}; "
                    f"is another yakt dev running? Other ports: yakt dev --base-port {BASE_PORT + 1000}"
                ]
            )


def format_config(config: Config) -> str:
    """The configuration as TOML that `load_config` reads back."""
    tables = {name: table for name, table in attrs.asdict(config, recurse=False).items() if table is not None}
    return "\n".join(_format_table(name, attrs.asdict(table, recurse=False)) for name, table in tables.items())


def _format_table(name: str, table: Mapping[str, object]) -> str:
    return "".join([f"[{name}]\n", *(f"{key} = {_format_value(value)}\n" for key, value in table.items())])


def _format_value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() | Address() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case tuple():
            return "[" + ", ".join(map(_format_value, value)) + "]"
        case VoterAddress(id=node_id, address=address):
            return f"{{ id = {node_id}, address = {_format_value(address)} }}"
        case _:
            raise TypeError(f"no TOML for {value!r}")


def _conf() -> list[Config]:
    """The cluster of conf/, if all of it is there."""
    first = CONF / "node1.toml"
    if not first.is_file():
        return []
    files = [CONF / f"node{voter.id}.toml" for voter in load_config(first).cluster.voters]
    return [load_config(file) for file in files] if all(file.is_file() for file in files) else []


def _numbered(conf: Sequence[Config], nodes: int, base_port: int) -> list[Config]:
    """The scheme of ports from `base_port` on; all else as in `conf`, if there is one."""
    template = conf[0] if conf else None

    def listener(name: str, number: int) -> Listener:
        address = Address(_HOST, base_port + _OFFSETS[name] + number)
        return Listener(address, address)

    numbers = range(1, nodes + 1)
    cluster = ClusterConfig(
        template.cluster.id if template else _CLUSTER_ID,
        tuple(VoterAddress(NodeId(number), listener("peer", number).listen) for number in numbers),
    )
    made = []
    for number in numbers:
        node = NodeConfig(NodeId(number), Path())
        peer, line = listener("peer", number), listener("line", number)
        if template is None:
            made.append(Config(cluster=cluster, node=node, peer=peer, line=line))
        else:
            http = listener("http", number) if template.http else None
            kafka = listener("kafka", number) if template.kafka else None
            made.append(
                attrs.evolve(template, cluster=cluster, node=node, peer=peer, line=line, http=http, kafka=kafka)
            )
    return made


def _free_configs(conf: Sequence[Config], nodes: int) -> list[Config]:
    for base_port in random.sample(_FREE_PORTS, 20):
        configs = _numbered(conf, nodes, base_port)
        if all(_why_taken(address) is None for _, _, address in _ports(configs)):
            return configs
    raise ConfigError(["yakt dev: no free ports were found in 20 tries; name some with --base-port"])


def _ports(configs: Sequence[Config]) -> Iterator[tuple[Config, str, Address]]:
    for config in configs:
        for name in _OFFSETS:
            listener: Listener | None = getattr(config, name)
            if listener is not None and listener.listen.port:
                yield config, f"{name} port", listener.listen


def _why_taken(address: Address) -> str | None:
    """Why nobody could listen there now, or None. Listening itself asks for the same option."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen(1)
        except OSError as exc:
            return "it is in use" if exc.errno == errno.EADDRINUSE else (exc.strerror or str(exc))
    return None
