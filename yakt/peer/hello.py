"""PURE. How two nodes decide to speak: which protocol version, and who is refused and why (PROTOCOL.md, "Hello")."""

from collections.abc import Collection

import attrs

from yakt.errors import RemoteProtocolError
from yakt.ids import NodeId, ReplicaKey
from yakt.peer.messages import Identity, Refusal, Welcome


@attrs.frozen
class Verdict:
    """What an acceptor makes of a hello: `protocol` to speak, or a `refusal` with its reason in words."""

    refusal: Refusal
    message: str
    protocol: int


def negotiate(ours: Identity, theirs: Identity) -> int | None:
    """The highest protocol version that both speak; None if there is none."""
    highest = min(ours.protocol_max, theirs.protocol_max)
    return highest if highest >= max(ours.protocol_min, theirs.protocol_min) else None


def judge_hello(me: Identity, hello: Identity, members: Collection[NodeId], connected: ReplicaKey | None) -> Verdict:
    """Decide as acceptor. `connected`: the replica of that id that is connected now and counts as a voter, if any.

    The cluster comes first: what a node of another cluster speaks, and what it calls itself, is no concern of ours.
    """

    def refuse(refusal: Refusal, message: str) -> Verdict:
        return Verdict(refusal, message, protocol=0)

    if hello.cluster_id != me.cluster_id:
        return refuse(Refusal.CLUSTER, f"this is cluster {me.cluster_id!r}, you are of {_clip(hello.cluster_id)}")
    protocol = negotiate(me, hello)
    if protocol is None:
        return refuse(Refusal.PROTOCOL, _disjoint(me, hello))
    if hello.node_id == me.node_id:
        return refuse(Refusal.OWN_ID, f"node {me.node_id} is myself: two nodes have this id, or one dials itself")
    if hello.node_id not in members:
        return refuse(Refusal.NOT_A_MEMBER, f"node {hello.node_id} is none of {sorted(members)}")
    if connected is not None and connected != hello.key:
        return refuse(Refusal.IMPOSTOR, f"node {hello.node_id} is connected already, from the directory known here")
    return Verdict(Refusal.NONE, "", protocol)


def judge_welcome(me: Identity, welcome: Welcome, dialled: NodeId) -> int:
    """Decide as dialler: the protocol version to speak. Raises RemoteProtocolError if it is not whom we meant."""
    theirs = welcome.identity
    if welcome.refusal is not Refusal.NONE:
        raise RemoteProtocolError(
            f"refused by node {theirs.node_id}: {_clip(welcome.message)} ({welcome.refusal.name})"
        )
    if theirs.cluster_id != me.cluster_id:
        raise RemoteProtocolError(f"it is of cluster {_clip(theirs.cluster_id)}, not {me.cluster_id!r}")
    if theirs.node_id != dialled:
        raise RemoteProtocolError(f"it is node {theirs.node_id}, not {dialled}: see the addresses of the voters")
    if negotiate(me, theirs) != welcome.protocol:
        raise RemoteProtocolError(f"it chose protocol {welcome.protocol}; {_disjoint(me, theirs)}")
    return welcome.protocol


def _disjoint(me: Identity, you: Identity) -> str:
    return (
        f"node {me.node_id} speaks protocols {me.protocol_min}-{me.protocol_max}, "
        f"node {you.node_id} {you.protocol_min}-{you.protocol_max}"
    )


def _clip(text: str) -> str:
    """What a stranger sent, fit to be sent back and logged."""
    return repr(text if len(text) <= 200 else text[:200] + "…")
