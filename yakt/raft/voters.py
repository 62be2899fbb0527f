"""Who the voters are, and by which disk each is known; knows no roles and no messages.

With kraft.version 0 the set is the configured one and a voter is known by the directory first met (raft.md §2, YAKt);
once the log holds a VotersRecord, the newest one says both, committed or not, until a truncation takes it back
(KIP-853). What a leader writes of them is `voter_records`' business; reading it is all that is here.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from yakt.batch import ControlRecord, Endpoint, KRaftVersion, Voters
from yakt.ids import NodeId, Offset, ReplicaKey, Uuid

BOOTSTRAP_OFFSET = Offset(-1)
"""Stands for the place of records read from the 0-0 checkpoint: before the log, never truncated."""

VoterRecord: TypeAlias = KRaftVersion | Voters


class VoterSet:
    """The voter set in force, and the records it may fall back to when the log is truncated."""

    def __init__(self, me: ReplicaKey, static: Iterable[NodeId], directories: Mapping[NodeId, Uuid]) -> None:
        self.me = me
        self.static = tuple(sorted(static))
        self.remembered = {**directories, me.id: me.directory_id}
        self.history: list[tuple[Offset, VoterRecord]] = []
        self._settle()

    def _settle(self) -> None:
        """Recompute what is asked often: `ids` ascending, `others` without us, `majority`, `kraft_version`."""
        self.kraft_version = 0
        self.record: Voters | None = None
        self.record_offset = BOOTSTRAP_OFFSET
        for offset, record in self.history:
            match record:
                case KRaftVersion(level=level):
                    self.kraft_version = level
                case Voters():
                    self.record = record
                    self.record_offset = offset
        if self.record is None:
            self.ids = self.static
            self._directories = {voter: self.remembered[voter] for voter in self.static if voter in self.remembered}
        else:
            self.ids = tuple(sorted(voter.id for voter in self.record.voters))
            self._directories = {voter.id: voter.directory_id for voter in self.record.voters}
        self.others = tuple(voter for voter in self.ids if voter != self.me.id)
        self.majority = len(self.ids) // 2 + 1
        self.includes_me = self.includes(self.me)

    @property
    def by_record(self) -> bool:
        """Whether the log names the voters; else the configuration does."""
        return self.record is not None

    def key(self, voter: NodeId) -> ReplicaKey | None:
        """The one disk that speaks for this voter; None while it was never met, or is no voter."""
        directory_id = self._directories.get(voter)
        return None if directory_id is None else ReplicaKey(voter, directory_id)

    def endpoints(self, voter: NodeId) -> tuple[Endpoint, ...]:
        """Where brokers reach it, by the record in force; none where there is no record."""
        found = [one.endpoints for one in self.record.voters if one.id == voter] if self.record is not None else []
        return found[0] if found else ()

    def overruled(self, kraft_version: int) -> list[str]:
        """What the configuration says in vain, as the log says otherwise; a line each, with its key."""
        found = []
        if kraft_version < self.kraft_version:
            found.append(
                f"kraft.version is {self.kraft_version} in the log and stays so, though the configuration says "
                f"{kraft_version}: there is no way down @ $.quorum.kraft_version"
            )
        if self.ids != self.static:
            found.append(
                f"the voters are {', '.join(map(str, self.ids))} in the log, whatever the configuration lists "
                f"({', '.join(map(str, self.static))}) @ $.cluster.voters"
            )
        return found

    def is_unmet(self, voter: NodeId) -> bool:
        """A configured voter whose directory is not known yet: the first to come is remembered."""
        return self.record is None and voter in self.ids and voter not in self.remembered

    @property
    def reachable(self) -> tuple[NodeId, ...]:
        """Whose address is known, ourselves left out: the voters', and the configured ones' whatever the log says."""
        return self.others if self.record is None else tuple(sorted({*self.others, *self.static} - {self.me.id}))

    def includes(self, replica: ReplicaKey) -> bool:
        """Whether this very disk is a voter's."""
        return self._directories.get(replica.id) == replica.directory_id

    def remember(self, replica: ReplicaKey) -> None:
        """Know voter `replica.id` by this directory from now on."""
        assert self.is_unmet(replica.id), f"voter {replica.id} was met before"
        self.remembered[replica.id] = replica.directory_id
        self._settle()

    def read(self, offset: Offset, record: ControlRecord) -> None:
        """Take in a control record of the log (or, at BOOTSTRAP_OFFSET, of the 0-0 checkpoint)."""
        if isinstance(record, KRaftVersion | Voters):
            assert not self.history or self.history[-1][0] <= offset
            self.history.append((offset, record))
            self._settle()

    def restart(self, start_offset: Offset, control: Iterable[ControlRecord]) -> None:
        """The log starts anew past a snapshot with these control records: they stand just below its start."""
        self.history.clear()
        self._settle()
        for record in control:
            self.read(Offset(start_offset - 1), record)

    def truncate(self, end_offset: Offset) -> None:
        """Undo what stood at or past `end_offset`."""
        if self.history and self.history[-1][0] >= end_offset:
            self.history = [entry for entry in self.history if entry[0] < end_offset]
            self._settle()

    def forget_before(self, high_watermark: Offset) -> None:
        """Drop what a committed newer record of its kind replaced: truncation never comes back to it."""
        if len(self.history) <= 2:
            return
        committed: dict[type[VoterRecord], tuple[Offset, VoterRecord]] = {}
        for entry in self.history:
            if entry[0] < high_watermark:
                committed[type(entry[1])] = entry
        kept = sorted(committed.values(), key=lambda entry: entry[0])
        self.history = kept + [entry for entry in self.history if entry[0] >= high_watermark]
