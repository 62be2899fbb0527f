"""Who speaks with whom, and in which version."""

import attrs
import pytest

from yakt.errors import RemoteProtocolError
from yakt.ids import NodeId, ReplicaKey, Uuid
from yakt.peer import codec
from yakt.peer.hello import judge_hello, judge_welcome, negotiate
from yakt.peer.messages import Identity, Refusal, Welcome

MEMBERS = (NodeId(2), NodeId(3))


def identity(node: int, protocol_min: int = 1, protocol_max: int = 1, *, cluster: str = "c") -> Identity:
    return Identity(
        protocol_min=protocol_min,
        protocol_max=protocol_max,
        cluster_id=cluster,
        node_id=NodeId(node),
        directory_id=Uuid(bytes([node % 256]) * 16),
    )


ME = identity(1)


@pytest.mark.parametrize(
    ("ours", "theirs", "spoken"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 2), (2, 3), 2),
        ((2, 3), (1, 2), 2),
        ((1, 3), (1, 3), 3),
        ((1, 3), (2, 2), 2),
        ((1, 1), (2, 3), None),
        ((2, 3), (1, 1), None),
    ],
)
def test_the_highest_common_version_is_spoken(
    ours: tuple[int, int], theirs: tuple[int, int], spoken: int | None
) -> None:
    assert negotiate(identity(1, *ours), identity(2, *theirs)) == spoken


@pytest.mark.parametrize(
    ("hello", "refusal"),
    [
        (identity(2), Refusal.NONE),
        (identity(2, cluster="d"), Refusal.CLUSTER),
        (identity(2, 2, 3), Refusal.PROTOCOL),
        (identity(1), Refusal.OWN_ID),
        (identity(4), Refusal.NOT_A_MEMBER),
        (identity(-1), Refusal.NOT_A_MEMBER),
        # The first fault is told, from the outside in.
        (identity(4, 2, 3, cluster="d"), Refusal.CLUSTER),
        (identity(4, 2, 3), Refusal.PROTOCOL),
    ],
)
def test_the_acceptor_judges(hello: Identity, refusal: Refusal) -> None:
    verdict = judge_hello(ME, hello, MEMBERS, connected=None)
    assert verdict.refusal is refusal
    assert bool(verdict.message) == (refusal is not Refusal.NONE)
    assert verdict.protocol == (1 if refusal is Refusal.NONE else 0)


def test_an_id_belongs_to_the_replica_that_is_connected() -> None:
    hello = identity(2)
    again = judge_hello(ME, hello, MEMBERS, connected=hello.key)
    assert again.refusal is Refusal.NONE
    other = judge_hello(ME, hello, MEMBERS, connected=ReplicaKey(NodeId(2), Uuid(b"x" * 16)))
    assert other.refusal is Refusal.IMPOSTOR


@pytest.mark.parametrize(
    ("welcome", "complaint"),
    [
        (Welcome(refusal=Refusal.CLUSTER, message="go away", identity=identity(2)), "refused by node 2: 'go away'"),
        (Welcome(protocol=1, identity=identity(2, cluster="d")), "of cluster 'd', not 'c'"),
        (Welcome(protocol=1, identity=identity(3)), "it is node 3, not 2"),
        (Welcome(protocol=2, identity=identity(2, 1, 2)), "it chose protocol 2"),
        (Welcome(protocol=0, identity=identity(2)), "it chose protocol 0"),
    ],
)
def test_the_dialler_judges_too(welcome: Welcome, complaint: str) -> None:
    assert judge_welcome(ME, Welcome(protocol=1, identity=identity(2)), NodeId(2)) == 1
    with pytest.raises(RemoteProtocolError, match=complaint):
        judge_welcome(ME, welcome, NodeId(2))


def test_whatever_a_stranger_is_called_the_refusal_fits_its_frame() -> None:
    hello = attrs.evolve(identity(2), cluster_id="\n" * 4000)
    verdict = judge_hello(ME, hello, MEMBERS, connected=None)
    assert "\n" not in verdict.message
    codec.encode_welcome(Welcome(refusal=verdict.refusal, message=verdict.message, identity=ME))
