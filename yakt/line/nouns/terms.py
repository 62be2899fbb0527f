"""The arguments that commands of several nouns take."""

from yakt.line.arguments import INT32_MAX, EntityName, Integer, PartitionName, Text
from yakt.line.registry import Argument, Option

ID = Integer(0, INT32_MAX, form="id")
NAME = Text(1024, low=1, form="name")  # the controller says which names are good ones
BROKER_ID = Argument(name="id", type=ID, text="the broker's id")
TOPIC_NAME = Argument(name="name", type=NAME, text="the topic's name")
BROKER = Option(key="broker", type=ID, text="the broker's id", required=True)
BROKER_EPOCH = Option(key="epoch", type=Integer(-1), text="its broker epoch, as it registered", required=True)
PARTITION = Argument(name="partition", type=PartitionName(), text="topic and number, orders:0", field="target")
ENTITY = Argument(
    name="entity",
    type=EntityName(),
    text="topic/NAME, broker/ID, broker/ (the cluster), group/NAME, client-metrics/NAME",
)
