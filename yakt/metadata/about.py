"""Which records are about one thing: what its history is told from, without the rest of the state."""

from yakt.ids import Uuid
from yakt.metadata import records as r
from yakt.metadata.config_control import resource_of
from yakt.metadata.entities import Entity, TopicPartition
from yakt.metadata.records import Record
from yakt.metadata.rows import DEFAULT_ENTITY
from yakt.metadata.tables import Change

CLIENT_KINDS = ("user", "client-id", "ip")
"""Of whom quotas are; a user has credentials, ACLs and tokens too."""
_TRANSACTION = (r.BeginTransactionRecord, r.EndTransactionRecord, r.AbortTransactionRecord)


class About:
    """Asked of all records in the order of the log, or of a snapshot: it learns the ids that a topic has had.

    `topic` and `partition`, `broker`, `client` (kind and name of whom quotas are for), or only a config's: what is not
    named is None.
    """

    def __init__(self, subject: Entity | TopicPartition) -> None:
        self.topic: str | None = None
        self.partition: int | None = None
        self.broker: int | None = None
        self.client: tuple[str, str] | None = None
        self._config = None
        if isinstance(subject, TopicPartition):
            self.topic, self.partition = subject.topic, subject.partition
        elif subject.kind in CLIENT_KINDS:
            self.client = subject.kind, subject.name or DEFAULT_ENTITY
        else:
            self._config = resource_of(subject)
            if subject.kind == "topic":
                self.topic = subject.name
            elif subject.kind == "broker" and subject.name:
                self.broker = int(subject.name)
        self._ids: set[Uuid] = set()
        self._tokens: set[str] = set()

    def wants(self, record: Record) -> bool:
        """Whether it must be replayed to know what became of the thing; brokers, too, say why a leader changed."""
        match record:
            case r.PartitionChangeRecord() | r.RemoveTopicRecord():
                return record.topic_id in self._ids
            case r.PartitionRecord():
                return record.topic_id in self._ids
            case r.ConfigRecord():
                return (record.resource_type, record.resource_name) == self._config
            case r.TopicRecord():
                if record.name != self.topic:
                    return False
                self._ids.add(record.topic_id)
                return True
            case r.RegisterBrokerRecord() | r.UnregisterBrokerRecord() | r.BrokerRegistrationChangeRecord():
                return self.topic is not None or record.broker_id == self.broker
            case r.FenceBrokerRecord() | r.UnfenceBrokerRecord():
                return self.topic is not None or record.id == self.broker
            case r.ClientQuotaRecord():
                return any((one.entity_type, one.entity_name or DEFAULT_ENTITY) == self.client for one in record.entity)
            case r.UserScramCredentialRecord() | r.RemoveUserScramCredentialRecord():
                return self.client == ("user", record.name)
            case r.AccessControlEntryRecord():
                if not self._is_principal(record.principal):
                    return False
                self._ids.add(record.id)
                return True
            case r.RemoveAccessControlEntryRecord():
                return record.id in self._ids
            case r.DelegationTokenRecord():
                if not self._is_principal(record.owner):
                    return False
                self._tokens.add(record.token_id)
                return True
            case r.RemoveDelegationTokenRecord():
                return record.token_id in self._tokens
        return isinstance(record, _TRANSACTION)

    def _is_principal(self, principal: str) -> bool:
        return self.client is not None and self.client[0] == "user" and principal == f"User:{self.client[1]}"

    def tells(self, change: Change) -> bool:
        """Whether the thing's history has a line for this change. A partition's has the end of its topic, too."""
        match change.kind:
            case "broker":
                return not change.quiet and self.broker is not None and change.key == self.broker
            case "topic":
                return not change.quiet and self.partition is None and change.key == self.topic
            case "partition":
                row = change.row if change.row is not None else change.old
                if row.topic != self.topic:
                    return False
                return not change.quiet if self.partition is None else row.partition == self.partition
            case "config":
                return not change.quiet and change.key == self._config
            case "quota":
                return self.client in change.key[0]
            case "scram":
                return self.client == ("user", change.key[0])
            case "acl":
                return self._is_principal((change.old if change.row is None else change.row).record.principal)
            case "token":
                return self._is_principal((change.old if change.row is None else change.row).record.owner)
        return False
