"""What configs belong to, and what is explained or has a history: things by the names that commands give them."""

import msgspec


class Entity(msgspec.Struct, frozen=True, gc=False):
    """What a config belongs to. `kind`: topic, broker, group, client-metrics; `name` "" is broker's cluster default."""

    kind: str
    name: str


class TopicPartition(msgspec.Struct, frozen=True, gc=False):
    """One partition, by its topic's name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"
