"""What a leader writes of the voters themselves: kraft.version 1, and where each of them is (KIP-853).

An epoch is led by the voters that are in force; only when something of it is committed, and the last voter set too,
may the next one be written (Raft's one change at a time). From level 0 to 1 the set stays who it was, so all that is
asked for is that every voter has said which disk it has, where brokers reach it, and that it can read the level: until
the last one was met, the quorum serves at level 0. There is no way down.
"""

import attrs

from yakt.batch import ControlRecord, KRaftVersion, RecordBatch, Voter, Voters
from yakt.ids import ZERO_UUID, NodeId, ReplicaKey
from yakt.raft import parked
from yakt.raft.effects import Append, Effects
from yakt.raft.quorum import Quorum, VoterFacts
from yakt.raft.roles import Leader


def note(quorum: Quorum, replica: ReplicaKey, facts: VoterFacts) -> None:
    """A voter's hello, of the disk it is known by; what changed may have to be written."""
    if quorum.facts.get(replica.id) == facts:
        return
    quorum.facts[replica.id] = facts
    if isinstance(quorum.role, Leader):
        quorum.role.may_owe_records = True


def missing(quorum: Quorum, kraft_version: int) -> tuple[NodeId, ...]:
    """The voters that keep kraft.version from this level: not met yet, no listener for brokers, or not able to."""
    return tuple(voter for voter in quorum.voters.ids if not _is_ready(quorum, voter, kraft_version))


def _is_ready(quorum: Quorum, voter: NodeId, kraft_version: int) -> bool:
    facts = quorum.facts.get(voter)
    if facts is None or not facts.endpoints or quorum.voters.key(voter) is None:
        return False
    least, most = facts.kraft_versions
    return least <= kraft_version <= most


def are_due(quorum: Quorum, leader: Leader) -> bool:
    """Whether this is the moment to look: something of our epoch is committed, and the last voter set."""
    return (
        leader.may_owe_records
        and quorum.known_high_watermark(leader) is not None
        and quorum.voters.record_offset < quorum.high_watermark
    )


def append(quorum: Quorum, effects: Effects, leader: Leader, kraft_version: int) -> None:
    """Write what is owed, as one control batch; perhaps nothing is. `kraft_version`: asked for besides."""
    if not are_due(quorum, leader) and not kraft_version:
        return
    leader.may_owe_records = False
    records = _owed(quorum, max(kraft_version, quorum.config.kraft_version))
    if not records:
        return
    crc, body = quorum.seal_control(records)
    batch = RecordBatch(quorum.log.end_offset, quorum.epoch, len(records), crc, body, records)
    quorum.append(batch)
    effects.add(Append((batch,)))
    parked.release_all(quorum, effects, leader)


def _owed(quorum: Quorum, kraft_version: int) -> tuple[ControlRecord, ...]:
    """A level that is wanted and can be had, with the voters; or the voters, if one is not where the record says."""
    voters = quorum.voters
    if voters.kraft_version < kraft_version:
        if missing(quorum, kraft_version):
            return ()
        described = tuple(_describe(quorum, Voter(id, ZERO_UUID, ())) for id in voters.ids)
        return KRaftVersion(kraft_version), Voters(described)
    if voters.kraft_version and voters.record is not None:
        moved = attrs.evolve(voters.record, voters=tuple(_describe(quorum, voter) for voter in voters.record.voters))
        if moved != voters.record:
            return (moved,)
    return ()


def _describe(quorum: Quorum, voter: Voter) -> Voter:
    """As its hello said; as it was told before if nothing was said in this life, or brokers cannot reach it now."""
    facts, key = quorum.facts.get(voter.id), quorum.voters.key(voter.id)
    if facts is None or key is None or not facts.endpoints:
        return voter
    least, most = facts.kraft_versions
    return attrs.evolve(
        voter,
        directory_id=key.directory_id,
        endpoints=facts.endpoints,
        kraft_version_min=least,
        kraft_version_max=most,
    )
