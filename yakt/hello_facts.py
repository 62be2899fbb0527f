"""What a node's hello tells besides who it is: for the voters' record, and for its registration as a controller."""

import attrs

from yakt.address import Address
from yakt.batch import Endpoint
from yakt.metadata.features import KRAFT_VERSION, SUPPORTED
from yakt.metadata.records import ControllerEndpoint, ControllerFeature, RegisterControllerRecord
from yakt.peer.messages import Feature, Identity
from yakt.raft.events import PeerMet

LISTENER = "CONTROLLER"
"""What brokers call the listener that they find controllers at (controller-contract.md §5)."""
PLAINTEXT = 0

FEATURES = tuple(Feature(name, levels.least, levels.most) for name, levels in SUPPORTED.items())
"""What our own hello says."""


def peer_met(identity: Identity) -> PeerMet:
    """For the core."""
    ranges = {feature.name: (feature.min_level, feature.max_level) for feature in identity.features}
    return PeerMet(identity.key, endpoints_of(identity), ranges.get(KRAFT_VERSION, (0, 0)))


def endpoints_of(identity: Identity) -> tuple[Endpoint, ...]:
    """Where brokers reach it; empty without a Kafka listener, or with an address that is none."""
    if identity.kafka is None:
        return ()
    try:
        address = Address.parse(identity.kafka)
    except ValueError:
        return ()
    return (Endpoint(LISTENER, address.host, address.port),)


def registration_of(identity: Identity) -> RegisterControllerRecord:
    """As a Kafka controller would register itself (KIP-919)."""
    return RegisterControllerRecord(
        identity.node_id,
        identity.incarnation,
        False,
        tuple(ControllerEndpoint(point.name, point.host, point.port, PLAINTEXT) for point in endpoints_of(identity)),
        tuple(ControllerFeature(*attrs.astuple(feature)) for feature in identity.features),
    )
