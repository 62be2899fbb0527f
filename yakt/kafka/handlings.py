"""How each API is answered: the one list that joins an API with the functions that speak for it."""

from yakt.kafka import acls, apis, cluster, configs, lifecycle, partitions, quotas, scram, tokens, topics
from yakt.kafka.plan import Handling

HANDLINGS = {
    apis.CREATE_TOPICS.key: Handling(topics.refuse_create, plan=topics.create),
    apis.DELETE_TOPICS.key: Handling(topics.refuse_delete, plan=topics.delete),
    apis.CREATE_PARTITIONS.key: Handling(topics.refuse_add_partitions, plan=topics.add_partitions),
    apis.LIST_PARTITION_REASSIGNMENTS.key: Handling(
        partitions.refuse_list_reassignments, read=partitions.list_reassignments, anywhere=True
    ),
    apis.ELECT_LEADERS.key: Handling(partitions.refuse_elect, plan=partitions.elect),
    apis.ALTER_PARTITION_REASSIGNMENTS.key: Handling(partitions.refuse_reassign, plan=partitions.reassign),
    apis.ALTER_CLIENT_QUOTAS.key: Handling(quotas.refuse_alter, plan=quotas.alter),
    apis.ASSIGN_REPLICAS_TO_DIRS.key: Handling(lifecycle.refuse_assign_directories, plan=lifecycle.assign_directories),
    apis.INCREMENTAL_ALTER_CONFIGS.key: Handling(configs.refuse_alter_incrementally, plan=configs.alter_incrementally),
    apis.ALTER_CONFIGS.key: Handling(configs.refuse_alter, plan=configs.alter),
    apis.DESCRIBE_CONFIGS.key: Handling(configs.refuse_describe, read=configs.describe, anywhere=True),
    apis.BROKER_REGISTRATION.key: Handling(lifecycle.refuse_register, plan=lifecycle.register),
    apis.BROKER_HEARTBEAT.key: Handling(lifecycle.refuse_heartbeat, plan=lifecycle.heartbeat),
    apis.ALLOCATE_PRODUCER_IDS.key: Handling(lifecycle.refuse_allocate, plan=lifecycle.allocate),
    apis.ALTER_PARTITION.key: Handling(lifecycle.refuse_alter_partitions, plan=lifecycle.alter_partitions),
    apis.UNREGISTER_BROKER.key: Handling(lifecycle.refuse_unregister, plan=lifecycle.unregister),
    apis.DESCRIBE_CLUSTER.key: Handling(cluster.refuse_describe, read=cluster.describe, anywhere=True),
    apis.DESCRIBE_QUORUM.key: Handling(cluster.refuse_quorum, read=cluster.describe_quorum),
    apis.UPDATE_FEATURES.key: Handling(cluster.refuse_features, plan=cluster.update_features),
    apis.DESCRIBE_ACLS.key: Handling(acls.refuse_describe, read=acls.describe, anywhere=True),
    apis.CREATE_ACLS.key: Handling(acls.refuse_create, plan=acls.create),
    apis.DELETE_ACLS.key: Handling(acls.refuse_delete, plan=acls.delete),
    apis.CREATE_DELEGATION_TOKEN.key: Handling(tokens.refuse_create_token, read=tokens.create_token),
    apis.RENEW_DELEGATION_TOKEN.key: Handling(tokens.refuse_renew_token, read=tokens.renew_token),
    apis.EXPIRE_DELEGATION_TOKEN.key: Handling(tokens.refuse_expire_token, read=tokens.expire_token),
    apis.DESCRIBE_DELEGATION_TOKEN.key: Handling(
        tokens.refuse_describe_tokens, read=tokens.describe_tokens, anywhere=True
    ),
    apis.ALTER_USER_SCRAM_CREDENTIALS.key: Handling(scram.refuse_alter, plan=scram.alter),
}
"""By key; Fetch, FetchSnapshot, ApiVersions and Envelope are the desk's own."""
