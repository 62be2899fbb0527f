"""One node's configuration: its values, its TOML and its complaints; opens nothing but the file it is asked to read.

`load_config` reads each table by itself, so that a fault in one hides none in another, and then asks what only the
tables together can tell (is this node a voter, do two listeners meet). Every fault becomes one line,
`conf/node1.toml:12: what is wrong @ $.cluster.voters[0].id`, and all of them are raised at once.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast, get_args, get_origin

import attrs
import cattrs
import tomli
from cattrs.gen import make_dict_structure_fn

from yakt.address import Address
from yakt.errors import ConfigError
from yakt.ids import NodeId
from yakt.toml_lines import TomlPath, key_lines

MAX_FILE_BYTES = 1 << 20


@attrs.frozen
class _Between:
    """The range of a number, both ends included, and what it counts."""

    least: int
    most: int
    unit: str = ""


@attrs.frozen
class _Form:
    """What a text must look like, and that in words."""

    pattern: str
    words: str


_ClusterId: TypeAlias = Annotated[str, _Form(r"[A-Za-z0-9_-]{1,22}", "1 to 22 characters of A-Z, a-z, 0-9, _ and -")]
_Milliseconds: TypeAlias = Annotated[int, _Between(100, 2**63 - 1, "ms")]
_Bytes: TypeAlias = Annotated[int, _Between(4096, 2**63 - 1, "bytes")]
_SegmentBytes: TypeAlias = Annotated[
    int, _Between(4096, 2**31 - 1, "bytes")
]  # Kafka counts within a segment in 32 bits
_AnyNodeId: TypeAlias = Annotated[NodeId, _Between(0, 2**31 - 1)]
_KRaftVersion: TypeAlias = Annotated[int, _Between(0, 1)]
_Partitions: TypeAlias = Annotated[int, _Between(1, 10_000)]  # as many as Kafka creates in one operation
_Principal: TypeAlias = Annotated[str, _Form(r"[^:\x00-\x1f]+:[^\x00-\x1f]+", "TYPE:NAME, such as User:admin")]
_Replication: TypeAlias = Annotated[int, _Between(1, 2**15 - 1)]


@attrs.frozen
class VoterAddress:
    """A voter and where its peers reach it."""

    id: _AnyNodeId
    address: Address


@attrs.frozen
class ClusterConfig:
    """The same on every node of a cluster. `id`: 1 to 22 characters of base64url; `voters` in the order of the file."""

    id: _ClusterId
    voters: tuple[VoterAddress, ...]

    def voter(self, node_id: NodeId) -> VoterAddress:
        """The voter of that id. Raises KeyError if none has it."""
        for voter in self.voters:
            if voter.id == node_id:
                return voter
        raise KeyError(node_id)


@attrs.frozen
class NodeConfig:
    """Which voter this is, and its directory, relative to the working directory."""

    id: _AnyNodeId
    data: Path


@attrs.frozen
class Listener:
    """Where to listen, and what others are told to dial."""

    listen: Address
    advertised: Address

    def told(self, bound_port: int) -> Address:
        """What others are told once the listener is bound: port 0 becomes `bound_port`."""
        return self.advertised if self.advertised.port else attrs.evolve(self.advertised, port=bound_port)


@attrs.frozen
class QuorumConfig:
    """Kafka's `controller.quorum.*` (raft.md, section 1), in ms; election timeouts are drawn from [it, twice it).

    `kraft_version` is the level that the quorum is brought to; it is never taken down.
    """

    election_timeout_ms: _Milliseconds = 300
    fetch_timeout_ms: _Milliseconds = 600
    kraft_version: _KRaftVersion = 0


@attrs.frozen
class ControllerConfig:
    """What the leader's controller decides by."""

    broker_session_timeout_ms: _Milliseconds = 9000
    default_partitions: _Partitions = 1
    default_replication: _Replication = 1
    unclean_leader_election: bool = False
    """Where neither a topic's config nor a dynamic one says (Kafka's unclean.leader.election.enable)."""
    auto_leader_rebalance: bool = True
    """Whether preferred leaders lead again by themselves (Kafka's auto.leader.rebalance.enable)."""
    super_users: tuple[_Principal, ...] = ()
    """Principals of Kafka's clients. Where there are any, ACLs decide what else brokers may forward."""


@attrs.frozen
class LogConfig:
    """When the log is cut into segments, snapshotted and trimmed; Kafka's defaults."""

    snapshot_bytes: _Bytes = 20 << 20
    snapshot_interval_ms: _Milliseconds = 3_600_000
    segment_bytes: _SegmentBytes = 1 << 30
    retention_bytes: _Bytes = 100 << 20
    retention_ms: _Milliseconds = 604_800_000


@attrs.frozen(kw_only=True)
class Config:
    """All that a node is told at its start. `http` and `kafka` are None where the file has no such table."""

    cluster: ClusterConfig
    node: NodeConfig
    peer: Listener
    line: Listener
    http: Listener | None = None
    kafka: Listener | None = None
    quorum: QuorumConfig = QuorumConfig()
    controller: ControllerConfig = ControllerConfig()
    log: LogConfig = LogConfig()


@attrs.frozen
class _ListenerTable:
    """A listener as the file has it; what is left out, `_listener` fills in."""

    listen: Address | None = None
    advertised: Address | None = None


@attrs.frozen
class _Fault:
    what: str
    path: TomlPath


_TABLES: Mapping[str, type] = {
    "cluster": ClusterConfig,
    "node": NodeConfig,
    "peer": _ListenerTable,
    "line": _ListenerTable,
    "http": _ListenerTable,
    "kafka": _ListenerTable,
    "quorum": QuorumConfig,
    "controller": ControllerConfig,
    "log": LogConfig,
}
_REQUIRED = ("cluster", "node")
_DEFAULT_LISTEN = {
    "line": Address("127.0.0.1", 7201),
    "http": Address("127.0.0.1", 7301),
    "kafka": Address("127.0.0.1", 7401),
}


_NO_KAFKA_LISTENER = "1 writes into the log where brokers reach each node, and this one has no table [kafka]: add it"


def load_config(path: Path) -> Config:
    """Read a node's configuration. Raises ConfigError with every fault of the file, one line each."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError([f"{path}: cannot be read: {exc.strerror}"]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: is longer than {MAX_FILE_BYTES} bytes; is it a configuration?"])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError([f"{path}:{line}: is not UTF-8 text"]) from None
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> Config:
    """Read a configuration from TOML; `source` is the file's name in the complaints of the ConfigError raised."""
    try:
        document = tomli.loads(text)
    except tomli.TOMLDecodeError as exc:
        raise ConfigError([f"{source}:{exc.lineno}: not TOML: {exc.msg}, column {exc.colno}"]) from None
    except RecursionError:
        raise ConfigError([f"{source}: not a configuration: nested too deeply"]) from None
    tables, faults = _structure_tables(document)
    voters = _readable_voters(document)
    own = _own_voter(document, voters)
    listeners = _listeners(tables, {fault.path[0] for fault in faults}, own)
    faults += _voter_faults(voters)
    if own is None:
        faults += _missing_voter(document, voters)
    faults += _listener_faults(listeners, document)
    quorum = tables.get("quorum", QuorumConfig())
    if quorum.kraft_version and listeners.get("kafka") is None and "kafka" not in document:
        faults.append(_Fault(_NO_KAFKA_LISTENER, ("quorum", "kraft_version")))
    if faults:
        raise ConfigError(_complaints(faults, source, key_lines(text)))
    parts: dict[str, Any] = {**tables, **listeners}
    return Config(**parts)


def _complaints(faults: Sequence[_Fault], source: str, lines: Mapping[TomlPath, int]) -> list[str]:
    """The faults as lines, in the order of the file; a key that is missing stands where its table does."""

    def line_of(fault: _Fault) -> int:
        return next((lines[fault.path[:n]] for n in range(len(fault.path), 0, -1) if fault.path[:n] in lines), 0)

    located = sorted(((line_of(fault), fault) for fault in faults), key=lambda pair: pair[0])
    return [f"{source}{f':{line}' if line else ''}: {fault.what} @ {_json_path(fault.path)}" for line, fault in located]


def _json_path(path: TomlPath) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


# Each table by itself.


def _structure_tables(document: Mapping[str, object]) -> tuple[dict[str, Any], list[_Fault]]:
    """What could be read of each table, and what was wrong with the rest."""
    tables: dict[str, Any] = {}
    faults = [_unknown_key(name, _TABLES, ()) for name in document if name not in _TABLES]
    for name, kind in _TABLES.items():
        if name in document:
            try:
                tables[name] = _CONVERTER.structure(document[name], kind)
            except Exception as exc:
                faults += _faults_of(exc, (name,), kind)
        elif name in _REQUIRED:
            faults.append(_Fault(f"the table [{name}] is missing", (name,)))
    return tables, faults


def _faults_of(exc: BaseException, path: TomlPath, kind: Any) -> Iterator[_Fault]:
    """Unfold what cattrs raised: groups of groups, whose notes say which key or element each part is about."""
    match exc:
        case cattrs.ClassValidationError():
            for inner, attribute in exc.group_exceptions()[0]:
                yield from _faults_of(inner, (*path, attribute.name), attribute.type)
            for inner in exc.group_exceptions()[1]:
                yield from _faults_of(inner, path, exc.cl)
        case cattrs.IterableValidationError():
            for inner, element in exc.group_exceptions()[0]:
                yield from _faults_of(inner, (*path, element.index), element.type)
            for inner in exc.group_exceptions()[1]:
                yield from _faults_of(inner, path, kind)
        case cattrs.ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(exc.cl)]
            for name in sorted(exc.extra_fields):
                yield _unknown_key(name, known, path)
        case KeyError():
            yield _Fault("is missing", path)
        case ValueError():
            yield _Fault(str(exc), path)
        case _:
            raise exc


def _unknown_key(name: str, known: Mapping[str, object] | Sequence[str], table: TomlPath) -> _Fault:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    there = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
    return _Fault(f'unknown {"key" if table else "table or key"} "{name}", {there}', (*table, name))


# Strict hooks: as it stands, cattrs makes an int of "1", of 1.9 and of true.


def _is_a(value: object) -> str:
    """A TOML value in words, for complaints."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'the text "{value if len(value) <= 40 else value[:37] + "..."}"'
        case int() | float():
            return str(value)
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return f"the time {value}"


def _to_int(value: object, _: object = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a whole number is needed, found {_is_a(value)}")
    return value


def _to_bool(value: object, _: object = None) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false is needed, found {_is_a(value)}")
    return value


def _to_text(value: object, _: object = None) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text in quotes is needed, found {_is_a(value)}")
    return value


def _to_address(value: object, _: object) -> Address:
    return Address.parse(_to_text(value))


def _to_path(value: object, _: object) -> Path:
    text = _to_text(value)
    if not text or "\0" in text:
        raise ValueError(f"a directory is needed, found {_is_a(value)}")
    return Path(text)


def _to_number_between(kind: Any) -> Callable[[object, Any], int]:
    bounds = cast(_Between, get_args(kind)[1])
    unit = f" {bounds.unit}" if bounds.unit else ""

    def to_number(value: object, _: Any) -> int:
        number = _to_int(value)
        if number < bounds.least:
            raise ValueError(f"{number} is too small, at least {bounds.least}{unit}")
        if number > bounds.most:
            raise ValueError(f"{number} is too large, at most {bounds.most}{unit}")
        return number

    return to_number


def _to_text_of_form(kind: Any) -> Callable[[object, Any], str]:
    form = cast(_Form, get_args(kind)[1])

    def to_text(value: object, _: Any) -> str:
        text = _to_text(value)
        if not re.fullmatch(form.pattern, text):
            raise ValueError(f"{_is_a(text)} will not do: {form.words}")
        return text

    return to_text


def _to_table(kind: type[attrs.AttrsInstance]) -> Callable[[object, Any], Any]:
    from_dict = make_dict_structure_fn(kind, _CONVERTER, _cattrs_forbid_extra_keys=True)

    def to_table(value: object, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"a table is needed, found {_is_a(value)}")
        return from_dict(value, kind)

    return to_table


def _to_voters(value: object, _: Any) -> tuple[VoterAddress, ...]:
    if not isinstance(value, list):
        raise ValueError(f"an array of {{ id = …, address = … }} is needed, found {_is_a(value)}")
    if not value:
        raise ValueError("a cluster needs at least one voter")
    return tuple(_CONVERTER.structure(value, list[VoterAddress]))


def _is_annotated_with(mark: type) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is Annotated and isinstance(get_args(kind)[1], mark)


_CONVERTER = cattrs.Converter(detailed_validation=True)
_CONVERTER.register_structure_hook(str, _to_text)
_CONVERTER.register_structure_hook(bool, _to_bool)
_CONVERTER.register_structure_hook(Address, _to_address)
_CONVERTER.register_structure_hook(Path, _to_path)
_CONVERTER.register_structure_hook_func(lambda kind: kind == tuple[VoterAddress, ...], _to_voters)
_CONVERTER.register_structure_hook_factory(_is_annotated_with(_Between), _to_number_between)
_CONVERTER.register_structure_hook_factory(_is_annotated_with(_Form), _to_text_of_form)
_CONVERTER.register_structure_hook_factory(lambda kind: attrs.has(kind) and kind is not Address, _to_table)


# The tables together. What can be read of a faulty table is looked at too: all faults at once means all.


def _readable_voters(document: Mapping[str, object]) -> list[VoterAddress | None]:
    """The voters as the file has them, None for each that cannot be read."""

    def readable(entry: object) -> VoterAddress | None:
        try:
            return _CONVERTER.structure(entry, VoterAddress)
        except (cattrs.BaseValidationError, ValueError):
            return None

    table = document.get("cluster")
    voters = table.get("voters") if isinstance(table, dict) else None
    return [readable(entry) for entry in voters] if isinstance(voters, list) else []


def _own_id(document: Mapping[str, object]) -> object:
    table = document.get("node")
    return table.get("id") if isinstance(table, dict) else None


def _own_voter(document: Mapping[str, object], voters: Sequence[VoterAddress | None]) -> VoterAddress | None:
    own_id = _own_id(document)
    return next((voter for voter in voters if voter and type(own_id) is int and voter.id == own_id), None)


def _missing_voter(document: Mapping[str, object], voters: Sequence[VoterAddress | None]) -> Iterator[_Fault]:
    """That this node is no voter; unsaid while its own id or an entry that may be its own cannot be read."""
    own_id = _own_id(document)
    known = ", ".join(str(voter.id) for voter in voters if voter)
    if type(own_id) is int and own_id >= 0 and voters and None not in voters:
        yield _Fault(f"{own_id} is not among the voters ({known}); each node is one of them", ("node", "id"))


def _voter_faults(voters: Sequence[VoterAddress | None]) -> Iterator[_Fault]:
    ids: dict[int, int] = {}
    addresses: dict[Address, int] = {}
    for index, voter in enumerate(voters):
        if voter is None:
            continue
        place: TomlPath = ("cluster", "voters", index)
        first = ids.setdefault(voter.id, index)
        if first != index:
            yield _Fault(f"{voter.id} is the id of voters[{first}] too", (*place, "id"))
        first = addresses.setdefault(voter.address, index)
        if first != index:
            yield _Fault(f'"{voter.address}" is the address of voters[{first}] too', (*place, "address"))
        if voter.address.port == 0:
            yield _Fault(f'"{voter.address}": peers cannot dial port 0', (*place, "address"))
        if voter.address.is_wildcard:
            yield _Fault(f'"{voter.address}": peers cannot dial a wildcard', (*place, "address"))


def _listeners(
    tables: Mapping[str, Any], spoilt: AbstractSet[str | int], own: VoterAddress | None
) -> dict[str, Listener | None]:
    """Fill in what the listeners leave out, all but those whose table is `spoilt`.

    A listener on a wildcard tells others the host at which peers reach the node. A listener that lacks what it needs
    for that, in a file whose faults are reported anyway, is left out.
    """
    listeners: dict[str, Listener | None] = {}
    for name in ("peer", "line", "http", "kafka"):
        if name in spoilt:
            continue
        if name in ("http", "kafka") and name not in tables:
            listeners[name] = None
            continue
        table: _ListenerTable = tables.get(name, _ListenerTable())
        listen = table.listen or _DEFAULT_LISTEN.get(name)
        if listen is None and own is not None:
            listen = own.address
        advertised = table.advertised or listen
        if table.advertised is None and listen is not None and listen.is_wildcard:
            advertised = attrs.evolve(listen, host=own.address.host) if own else None
        if listen is not None and advertised is not None:
            listeners[name] = Listener(listen, advertised)
    return listeners


def _listener_faults(listeners: Mapping[str, Listener | None], document: Mapping[str, object]) -> Iterator[_Fault]:
    seen: list[tuple[str, Address]] = []
    for name, listener in listeners.items():
        if listener is None:
            continue
        if listener.advertised.is_wildcard:
            written = document.get(name)
            key = "advertised" if isinstance(written, dict) and "advertised" in written else "listen"
            yield _Fault(f'"{listener.advertised}": a wildcard cannot be told to others', (name, key))
        listen = listener.listen
        for other, taken in seen:
            if (
                listen.port
                and listen.port == taken.port
                and (listen.host == taken.host or listen.is_wildcard or taken.is_wildcard)
            ):
                yield _Fault(f'"{listen}" meets the {other} listener\'s "{taken}"', (name, "listen"))
        seen.append((name, listen))
