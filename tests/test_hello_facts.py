"""What a hello tells the core, and what is registered of it."""

import attrs

from yakt.batch import Endpoint
from yakt.hello_facts import FEATURES, endpoints_of, peer_met, registration_of
from yakt.ids import NodeId, Uuid
from yakt.metadata.features import KRAFT_VERSION, SUPPORTED
from yakt.peer.messages import Feature, Identity
from yakt.raft.core import KRAFT_VERSIONS
from yakt.raft.events import PeerMet

HELLO = Identity(
    protocol_min=1,
    protocol_max=1,
    cluster_id="c",
    node_id=NodeId(2),
    directory_id=Uuid(bytes([2]) * 16),
    kafka="[::1]:7402",
    features=FEATURES,
    incarnation=Uuid(bytes([7]) * 16),
)


def test_what_the_core_is_told() -> None:
    assert peer_met(HELLO) == PeerMet(HELLO.key, (Endpoint("CONTROLLER", "::1", 7402),), (0, 1))


def test_a_node_that_says_nothing_of_kraft_version_can_read_0() -> None:
    silent = attrs.evolve(HELLO, features=(Feature("metadata.version", 21, 21),))
    assert peer_met(silent).kraft_versions == (0, 0)


def test_without_a_kafka_listener_or_with_a_bad_address_there_is_no_endpoint() -> None:
    for kafka in (None, "nonsense", "host:99999", ":1"):
        assert endpoints_of(attrs.evolve(HELLO, kafka=kafka)) == ()


def test_the_registration_says_the_same() -> None:
    record = registration_of(HELLO)
    assert (record.controller_id, record.incarnation_id) == (2, HELLO.incarnation)
    assert [(point.name, point.host, point.port) for point in record.end_points] == [("CONTROLLER", "::1", 7402)]
    told = {one.name: (one.min_supported_version, one.max_supported_version) for one in record.features}
    assert told == SUPPORTED


def test_the_core_and_the_controller_agree_on_kraft_version() -> None:
    """Neither may know the other, so each has its own."""
    assert SUPPORTED[KRAFT_VERSION] == KRAFT_VERSIONS
