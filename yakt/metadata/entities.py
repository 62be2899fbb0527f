"""What configs belong to, and what a history is told of: entities by their kind and name."""

import msgspec


class Entity(msgspec.Struct, frozen=True, gc=False):
    """What a config belongs to. `kind`: topic, broker, group, client-metrics; `name` "" is broker's cluster default."""

    kind: str
    name: str
