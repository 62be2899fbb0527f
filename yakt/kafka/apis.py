"""The APIs of the Kafka listener: key, versions, where their encoding becomes flexible, and their messages.

What is offered to clients is this table (rpcs.md §3, `advertise`); an API that is not in it does not exist here.
"""

import re
from types import ModuleType
from typing import Any

import attrs

from yakt.kafka.messages import brokers, cluster, configs, connections, fetch, security, tokens, topics
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
    is_forwardable: bool = False
    """Whether brokers forward it for their clients, in an Envelope."""

    def is_flexible(self, version: int) -> bool:
        """Whether bodies and request headers of `version` have compact lengths and tagged fields."""
        return version >= self.flexible_since

    def request_codec(self, version: int) -> Codec[Any]:
        """Of request bodies."""
        return self.request.codec(version, flexible=self.is_flexible(version))

    def response_codec(self, version: int) -> Codec[Any]:
        """Of response bodies."""
        return self.response.codec(version, flexible=self.is_flexible(version))


def _api(
    key: int, name: str, least: int, most: int, flexible_since: int, module: ModuleType, *, is_forwardable: bool = False
) -> Api:
    """Its messages are found by its name: `CreateTopics` -> `CREATE_TOPICS_REQUEST` and `…_RESPONSE`."""
    constant = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper()
    request, response = getattr(module, f"{constant}_REQUEST"), getattr(module, f"{constant}_RESPONSE")
    return Api(key, name, least, most, flexible_since, request, response, is_forwardable)


FETCH = _api(1, "Fetch", 13, 18, 12, fetch)
API_VERSIONS = _api(18, "ApiVersions", 0, 5, 3, connections)
CREATE_TOPICS = _api(19, "CreateTopics", 2, 7, 5, topics, is_forwardable=True)
DELETE_TOPICS = _api(20, "DeleteTopics", 1, 6, 4, topics, is_forwardable=True)
DESCRIBE_ACLS = _api(29, "DescribeAcls", 1, 3, 2, security)
CREATE_ACLS = _api(30, "CreateAcls", 1, 3, 2, security, is_forwardable=True)
DELETE_ACLS = _api(31, "DeleteAcls", 1, 3, 2, security, is_forwardable=True)
DESCRIBE_CONFIGS = _api(32, "DescribeConfigs", 1, 4, 4, configs)
ALTER_CONFIGS = _api(33, "AlterConfigs", 0, 2, 2, configs, is_forwardable=True)
CREATE_PARTITIONS = _api(37, "CreatePartitions", 0, 3, 2, topics, is_forwardable=True)
CREATE_DELEGATION_TOKEN = _api(38, "CreateDelegationToken", 1, 3, 2, tokens, is_forwardable=True)
RENEW_DELEGATION_TOKEN = _api(39, "RenewDelegationToken", 1, 2, 2, tokens, is_forwardable=True)
EXPIRE_DELEGATION_TOKEN = _api(40, "ExpireDelegationToken", 1, 2, 2, tokens, is_forwardable=True)
DESCRIBE_DELEGATION_TOKEN = _api(41, "DescribeDelegationToken", 1, 3, 2, tokens)
ELECT_LEADERS = _api(43, "ElectLeaders", 0, 2, 2, topics, is_forwardable=True)
INCREMENTAL_ALTER_CONFIGS = _api(44, "IncrementalAlterConfigs", 0, 1, 1, configs, is_forwardable=True)
ALTER_PARTITION_REASSIGNMENTS = _api(45, "AlterPartitionReassignments", 0, 1, 0, topics, is_forwardable=True)
LIST_PARTITION_REASSIGNMENTS = _api(46, "ListPartitionReassignments", 0, 0, 0, topics, is_forwardable=True)
ALTER_CLIENT_QUOTAS = _api(49, "AlterClientQuotas", 0, 1, 1, configs, is_forwardable=True)
ALTER_USER_SCRAM_CREDENTIALS = _api(51, "AlterUserScramCredentials", 0, 0, 0, security, is_forwardable=True)
DESCRIBE_QUORUM = _api(55, "DescribeQuorum", 0, 2, 0, cluster, is_forwardable=True)
ALTER_PARTITION = _api(56, "AlterPartition", 2, 3, 0, brokers)
UPDATE_FEATURES = _api(57, "UpdateFeatures", 0, 2, 0, cluster, is_forwardable=True)
ENVELOPE = _api(58, "Envelope", 0, 0, 0, connections)
FETCH_SNAPSHOT = _api(59, "FetchSnapshot", 0, 1, 0, fetch)
DESCRIBE_CLUSTER = _api(60, "DescribeCluster", 1, 2, 0, cluster)
BROKER_REGISTRATION = _api(62, "BrokerRegistration", 4, 4, 0, brokers)
BROKER_HEARTBEAT = _api(63, "BrokerHeartbeat", 1, 1, 0, brokers)
UNREGISTER_BROKER = _api(64, "UnregisterBroker", 0, 0, 0, brokers, is_forwardable=True)
ALLOCATE_PRODUCER_IDS = _api(67, "AllocateProducerIds", 0, 0, 0, brokers, is_forwardable=True)
ASSIGN_REPLICAS_TO_DIRS = _api(73, "AssignReplicasToDirs", 0, 0, 0, brokers)

APIS = {
    api.key: api
    for api in (
        FETCH,
        API_VERSIONS,
        CREATE_TOPICS,
        DELETE_TOPICS,
        DESCRIBE_ACLS,
        CREATE_ACLS,
        DELETE_ACLS,
        DESCRIBE_CONFIGS,
        ALTER_CONFIGS,
        CREATE_PARTITIONS,
        CREATE_DELEGATION_TOKEN,
        RENEW_DELEGATION_TOKEN,
        EXPIRE_DELEGATION_TOKEN,
        DESCRIBE_DELEGATION_TOKEN,
        ELECT_LEADERS,
        INCREMENTAL_ALTER_CONFIGS,
        ALTER_PARTITION_REASSIGNMENTS,
        LIST_PARTITION_REASSIGNMENTS,
        ALTER_CLIENT_QUOTAS,
        ALTER_USER_SCRAM_CREDENTIALS,
        DESCRIBE_QUORUM,
        ALTER_PARTITION,
        UPDATE_FEATURES,
        ENVELOPE,
        FETCH_SNAPSHOT,
        DESCRIBE_CLUSTER,
        BROKER_REGISTRATION,
        BROKER_HEARTBEAT,
        UNREGISTER_BROKER,
        ALLOCATE_PRODUCER_IDS,
        ASSIGN_REPLICAS_TO_DIRS,
    )
}
"""By key, in the order in which they are offered."""
