"""The APIs of the Kafka listener: key, versions, where their encoding becomes flexible, and their messages.

What is offered to clients is this table (rpcs.md §3, `advertise`); an API that is not in it does not exist here.
"""

from typing import Any

import attrs

from yakt.kafka.messages import brokers, connections, fetch
from yakt.wire.schema import Codec, Struct


@attrs.frozen(eq=False)
class Api:
    """Versions `least` to `most`, both inclusive, are served; those from `flexible_since` on are flexible."""

    key: int
    name: str
    least: int
    most: int
    flexible_since: int
    request: Struct[Any]
    response: Struct[Any]

    def is_flexible(self, version: int) -> bool:
        """Whether bodies and request headers of `version` have compact lengths and tagged fields."""
        return version >= self.flexible_since

    def request_codec(self, version: int) -> Codec[Any]:
        """Of request bodies."""
        return self.request.codec(version, flexible=self.is_flexible(version))

    def response_codec(self, version: int) -> Codec[Any]:
        """Of response bodies."""
        return self.response.codec(version, flexible=self.is_flexible(version))


FETCH = Api(1, "Fetch", 13, 18, 12, fetch.FETCH_REQUEST, fetch.FETCH_RESPONSE)
API_VERSIONS = Api(18, "ApiVersions", 0, 5, 3, connections.API_VERSIONS_REQUEST, connections.API_VERSIONS_RESPONSE)
FETCH_SNAPSHOT = Api(59, "FetchSnapshot", 0, 1, 0, fetch.FETCH_SNAPSHOT_REQUEST, fetch.FETCH_SNAPSHOT_RESPONSE)
BROKER_REGISTRATION = Api(
    62, "BrokerRegistration", 4, 4, 0, brokers.BROKER_REGISTRATION_REQUEST, brokers.BROKER_REGISTRATION_RESPONSE
)
BROKER_HEARTBEAT = Api(
    63, "BrokerHeartbeat", 1, 1, 0, brokers.BROKER_HEARTBEAT_REQUEST, brokers.BROKER_HEARTBEAT_RESPONSE
)

APIS = {
    api.key: api
    for api in (
        FETCH,
        API_VERSIONS,
        FETCH_SNAPSHOT,
        BROKER_REGISTRATION,
        BROKER_HEARTBEAT,
    )
}
"""By key, in the order in which they are offered."""
