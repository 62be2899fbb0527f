"""Names and contents of every small file in a data directory, as pure functions; FORMAT.md is the spec.

Each `parse_…` raises CodecError, saying what is wrong with the text; whoever read the file adds which one it was.
"""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence

import attrs
import google_crc32c

from yakt.errors import CodecError
from yakt.ids import METADATA_TOPIC_ID, ZERO_UUID, Epoch, NodeId, Offset, OffsetAndEpoch, Uuid, format_uuid, parse_uuid

LOG_DIRECTORY = "__cluster_metadata-0"
META_PROPERTIES = "meta.properties"
LOCK = "yakt.lock"
"""Not Kafka's `.lock`: its metadata shell takes that one, and shall work beside a running node."""
RECOVERY_POINT = "yakt.recovery-point"
VOTER_DIRECTORIES = "yakt.voter-directories"
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
QUORUM_STATE = f"{LOG_DIRECTORY}/quorum-state"
EPOCH_CHECKPOINT = f"{LOG_DIRECTORY}/leader-epoch-checkpoint"
PARTITION_METADATA = f"{LOG_DIRECTORY}/partition.metadata"
BOOTSTRAP_SNAPSHOT_ID = OffsetAndEpoch(Epoch(0), Offset(0))
"""What `kafka-storage format` leaves: local to a node, never served, never counted as log content."""

WHAT_TO_DO = (
    "Nothing was changed. Put back a good copy of the data directory; or move it away and start with an empty one: "
    "the node then fetches everything from its peers, as an observer until a voter change lets it in"
)
"""Ends every refusal to start from a damaged directory."""

DELETED = ".deleted"
PART = ".part"
TEMPORARY = ".tmp"
INDEXES = (".index", ".timeindex")
"""Kafka rebuilds these when they are missing, so YAKt writes none, and removes those it would make stale."""

_SEGMENT = re.compile(r"(\d{20})\.log")
_SNAPSHOT = re.compile(r"(\d{20})-(\d{10})\.checkpoint")


# --- names ---------------------------------------------------------------------------------------------------------


def segment_name(base_offset: Offset) -> str:
    """Path of the segment whose first record is `base_offset`, relative to the data directory."""
    return f"{LOG_DIRECTORY}/{base_offset:020}.log"


def parse_segment_name(name: str) -> Offset | None:
    """The base offset in a file name (no directory), or None for any other file."""
    match = _SEGMENT.fullmatch(name)
    return Offset(int(match[1])) if match else None


def snapshot_name(snapshot_id: OffsetAndEpoch) -> str:
    """Path of a whole snapshot, relative to the data directory; end offset first (KIP-630)."""
    return f"{LOG_DIRECTORY}/{snapshot_id.offset:020}-{snapshot_id.epoch:010}.checkpoint"


def parse_snapshot_name(name: str) -> OffsetAndEpoch | None:
    """The id in the file name of a whole snapshot (no directory), or None for any other file."""
    match = _SNAPSHOT.fullmatch(name)
    return OffsetAndEpoch(Epoch(int(match[2])), Offset(int(match[1]))) if match else None


def part_name(snapshot_id: OffsetAndEpoch, kind: str) -> str:
    """Path of a snapshot that is being written; `kind` keeps our own and a download of the same id apart."""
    return f"{LOG_DIRECTORY}/{snapshot_id.offset:020}-{snapshot_id.epoch:010}-{kind}.checkpoint{PART}"


# --- meta.properties -----------------------------------------------------------------------------------------------


@attrs.frozen
class MetaProperties:
    """Whose directory this is. `directory_id` is None in a directory that never had one (before Kafka 3.7)."""

    cluster_id: str
    node_id: NodeId
    directory_id: Uuid | None


def format_meta_properties(properties: MetaProperties) -> bytes:
    """Java properties as Kafka writes them, without its date comment, in a fixed order."""
    pairs = [("cluster.id", properties.cluster_id), ("node.id", str(properties.node_id)), ("version", "1")]
    if properties.directory_id is not None:
        pairs.insert(1, ("directory.id", format_uuid(properties.directory_id)))
    return "".join(f"{key}={_escape(value)}\n" for key, value in pairs).encode("ascii")


def parse_meta_properties(data: bytes) -> MetaProperties:
    """Read version 1; keys this release does not know are ignored, as Kafka does."""
    pairs = parse_properties(data)
    version = pairs.get("version")
    if version != "1":
        raise CodecError(f"version is {version!r}, only 1 is understood (0 is of ZooKeeper's days)")
    for key in ("cluster.id", "node.id"):
        if not pairs.get(key):
            raise CodecError(f"{key} is missing")
    directory = pairs.get("directory.id")
    return MetaProperties(
        cluster_id=pairs["cluster.id"],
        node_id=NodeId(_int(pairs["node.id"], "node.id", maximum=2**31 - 1)),
        directory_id=_uuid(directory, "directory.id") if directory is not None else None,
    )


def parse_properties(data: bytes) -> dict[str, str]:
    """Java's properties format, in ISO-8859-1: comments, continued lines, three separators, backslash escapes."""
    text = data.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    pairs: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for raw in lines:
        line = raw.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _is_continued(line):
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        key_end = _key_end(line)
        rest = line[key_end:].lstrip(" \t\f")
        if rest[:1] in ("=", ":"):
            rest = rest[1:].lstrip(" \t\f")
        pairs[_unescape(line[:key_end])] = _unescape(rest)
    return pairs


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _key_end(line: str) -> int:
    escaped = False
    for index, character in enumerate(line):
        if not escaped and character in "=: \t\f":
            return index
        escaped = character == "\\" and not escaped
    return len(line)


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character != "\\":
            out.append(character)
            continue
        escape = text[at : at + 1]
        at += 1
        if escape == "u":
            digits = text[at : at + 4]
            if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
                raise CodecError(f"\\u wants four hexadecimal digits, not {digits!r}")
            out.append(chr(int(digits, 16)))
            at += 4
        else:
            out.append(_ESCAPES.get(escape, escape))
    return "".join(out)


def _escape(value: str) -> str:
    out: list[str] = []
    for index, character in enumerate(value):
        if character in "\\=:#!" or (character == " " and index == 0):
            out.append("\\" + character)
        elif not 0x20 <= ord(character) <= 0x7E:
            units = character.encode("utf-16-be")
            out.extend(f"\\u{units[at]:02X}{units[at + 1]:02X}" for at in range(0, len(units), 2))
        else:
            out.append(character)
    return "".join(out)


# --- quorum-state --------------------------------------------------------------------------------------------------


@attrs.frozen
class QuorumState:
    """What a node must remember of elections (KIP-595; version 1: KIP-853).

    `voted_directory_id` is None in version 0, which has no place for it; `voters` are known in version 0 only.
    """

    epoch: Epoch
    leader_id: NodeId | None
    voted_id: NodeId | None
    voted_directory_id: Uuid | None
    data_version: int
    voters: tuple[NodeId, ...] = ()


def format_quorum_state(state: QuorumState) -> bytes:
    """One JSON object, no spaces, keys in Kafka's order, no newline."""
    leader_id = -1 if state.leader_id is None else state.leader_id
    voted_id = -1 if state.voted_id is None else state.voted_id
    fields: dict[str, object]
    if state.data_version == 0:
        fields = {
            "clusterId": "",
            "leaderId": leader_id,
            "leaderEpoch": state.epoch,
            "votedId": voted_id,
            "appliedOffset": 0,
            "currentVoters": [{"voterId": voter} for voter in state.voters],
            "data_version": 0,
        }
    else:
        fields = {
            "leaderId": leader_id,
            "leaderEpoch": state.epoch,
            "votedId": voted_id,
            "votedDirectoryId": format_uuid(state.voted_directory_id or ZERO_UUID),
            "data_version": 1,
        }
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def parse_quorum_state(data: bytes) -> QuorumState:
    """Read either version; refuses what is no state: negative epochs, missing keys."""
    try:
        fields = json.loads(data)
    except ValueError as exc:
        raise CodecError(f"not JSON: {exc}") from None
    if not isinstance(fields, dict):
        raise CodecError("not a JSON object")
    version = fields.get("data_version")
    if version not in (0, 1):
        raise CodecError(f"data_version is {version!r}, only 0 and 1 are understood")

    def number(key: str) -> int:
        value = fields.get(key)
        if type(value) is not int or not -1 <= value < 2**31:
            raise CodecError(f"{key} is {value!r}, not a number from -1 to 2^31-1")
        return value

    epoch, leader_id, voted_id = number("leaderEpoch"), number("leaderId"), number("votedId")
    if epoch < 0:
        raise CodecError("leaderEpoch is negative")
    directory: Uuid | None = None
    voters: tuple[NodeId, ...] = ()
    if version == 1:
        text = fields.get("votedDirectoryId")
        directory = _uuid(text if isinstance(text, str) else "", "votedDirectoryId")
    else:
        listed = fields.get("currentVoters") or []
        try:
            voters = tuple(NodeId(int(voter["voterId"])) for voter in listed)
        except (TypeError, KeyError, ValueError):
            raise CodecError("currentVoters is not a list of objects with voterId") from None
    return QuorumState(
        epoch=Epoch(epoch),
        leader_id=None if leader_id == -1 else NodeId(leader_id),
        voted_id=None if voted_id == -1 else NodeId(voted_id),
        voted_directory_id=directory,
        data_version=version,
        voters=voters,
    )


# --- leader-epoch-checkpoint, partition.metadata -------------------------------------------------------------------


def format_epoch_checkpoint(starts: Iterable[OffsetAndEpoch]) -> bytes:
    """Version 0, the number of entries, then `epoch startOffset` a line; both ascending."""
    entries = list(starts)
    return "".join(["0\n", f"{len(entries)}\n", *(f"{entry.epoch} {entry.offset}\n" for entry in entries)]).encode()


def parse_epoch_checkpoint(data: bytes) -> tuple[OffsetAndEpoch, ...]:
    """Read `format_epoch_checkpoint`'s text; epochs must rise and offsets must not fall."""
    starts = [
        OffsetAndEpoch(Epoch(epoch), Offset(offset))
        for epoch, offset in _pairs(data, maximum=(2**31 - 1, 2**63 - 1), what="epoch startOffset")
    ]
    for before, after in itertools.pairwise(starts):
        if after.epoch <= before.epoch or after.offset < before.offset:
            raise CodecError(f"{after.epoch} {after.offset} does not follow {before.epoch} {before.offset}")
    return tuple(starts)


def _pairs(data: bytes, maximum: tuple[int, int], what: str) -> list[tuple[int, int]]:
    lines = _lines(data)
    if lines[:1] != ["0"]:
        raise CodecError(f"version is {lines[0] if lines else 'missing'}, only 0 is understood")
    count = _int(lines[1] if len(lines) > 1 else "", "the number of entries", maximum=2**31 - 1)
    if len(lines) != count + 2:
        raise CodecError(f"{count} entries announced, {max(len(lines) - 2, 0)} found")
    found: list[tuple[int, int]] = []
    for line in lines[2:]:
        words = line.split(" ")
        if len(words) != 2:
            raise CodecError(f"{line!r} is not `{what}`")
        found.append((_int(words[0], what, maximum=maximum[0]), _int(words[1], what, maximum=maximum[1])))
    return found


def format_partition_metadata() -> bytes:
    """Which topic the directory belongs to; always the metadata log's reserved id. Kafka ends it without newline."""
    return f"version: 0\ntopic_id: {format_uuid(METADATA_TOPIC_ID)}".encode()


# --- yakt.voter-directories ----------------------------------------------------------------------------------------


def format_voter_directories(directories: Mapping[NodeId, Uuid]) -> bytes:
    """The directory each voter was first met with: version, count, `id directory` a line, CRC-32C of what is above."""
    lines = [f"{node_id} {format_uuid(directory)}\n" for node_id, directory in sorted(directories.items())]
    body = "".join(["0\n", f"{len(lines)}\n", *lines]).encode()
    return body + f"crc {google_crc32c.value(body):08x}\n".encode()


def parse_voter_directories(data: bytes) -> dict[NodeId, Uuid]:
    """Read `format_voter_directories`' text. A directory that silently changed would let a voter vote twice."""
    cut = data.rfind(b"crc ")
    body = data[: max(cut, 0)]
    if cut < 0 or data[cut:] != f"crc {google_crc32c.value(body):08x}\n".encode():
        raise CodecError("the crc line is missing or differs from the lines above it")
    lines = _lines(body)
    if lines[:1] != ["0"]:
        raise CodecError(f"version is {lines[0] if lines else 'missing'}, only 0 is understood")
    directories: dict[NodeId, Uuid] = {}
    for line in lines[2:]:
        node_id, _, directory = line.partition(" ")
        directories[NodeId(_int(node_id, "a voter's id", maximum=2**31 - 1))] = _uuid(directory, "its directory")
    if lines[1:2] != [str(len(directories))]:
        raise CodecError("the number of entries is not what was announced")
    return directories


# --- yakt.recovery-point -------------------------------------------------------------------------------------------

SLOT_SIZE = 512
"""A sector: a torn write spoils one slot and leaves the other, older one."""


@attrs.frozen
class RecoveryPoint:
    """Everything below `flushed` was on the disk; or, with an intent, a change of the log that must be finished first.

    `truncate`: drop what lies at or past this offset. `restart`: drop everything, the log begins where this
    snapshot ends.
    The larger `sequence` of the two slots is in force.
    """

    sequence: int
    flushed: Offset
    truncate: Offset | None = None
    restart: OffsetAndEpoch | None = None

    @property
    def position(self) -> int:
        """Where in the file this one is written: the slots take turns."""
        return SLOT_SIZE * (self.sequence % 2)


def format_recovery_point(point: RecoveryPoint) -> bytes:
    """One slot: a line of text, padded with spaces to a sector."""
    words = ["yakt-recovery-point", "1", f"sequence={point.sequence}", f"flushed={point.flushed}"]
    if point.truncate is not None:
        words.append(f"truncate={point.truncate}")
    if point.restart is not None:
        words.append(f"restart={point.restart.offset} epoch={point.restart.epoch}")
    body = " ".join(words).encode()
    line = body + f" crc={google_crc32c.value(body):08x}".encode()
    return line.ljust(SLOT_SIZE - 1) + b"\n"


def parse_recovery_point(data: bytes) -> RecoveryPoint | None:
    """The newest whole slot, or None if there is none at all."""
    points = [_parse_slot(data[at : at + SLOT_SIZE]) for at in (0, SLOT_SIZE)]
    return max((point for point in points if point is not None), key=lambda point: point.sequence, default=None)


_SLOT = re.compile(
    rb"(yakt-recovery-point 1 sequence=(\d{1,19}) flushed=(\d{1,19})"
    rb"(?: truncate=(\d{1,19}))?(?: restart=(\d{1,19}) epoch=(\d{1,10}))?)"
    rb" crc=([0-9a-f]{8}) *\n"
)


def _parse_slot(data: bytes) -> RecoveryPoint | None:
    match = _SLOT.fullmatch(data)
    if match is None or google_crc32c.value(match[1]) != int(match[7], 16):
        return None
    return RecoveryPoint(
        sequence=int(match[2]),
        flushed=Offset(int(match[3])),
        truncate=None if match[4] is None else Offset(int(match[4])),
        restart=OffsetAndEpoch(Epoch(int(match[6])), Offset(int(match[5]))) if match[5] else None,
    )


# --- pieces --------------------------------------------------------------------------------------------------------


def _lines(data: bytes) -> Sequence[str]:
    try:
        return data.decode("ascii").splitlines()
    except UnicodeDecodeError as exc:
        raise CodecError("not plain text", exc.start) from None


def _int(text: str, what: str, maximum: int) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > maximum:
        raise CodecError(f"{what}: {text!r} is not a number from 0 to {maximum}")
    return int(text)


def _uuid(text: str, what: str) -> Uuid:
    try:
        return parse_uuid(text)
    except ValueError as exc:
        raise CodecError(f"{what}: {exc}") from None
