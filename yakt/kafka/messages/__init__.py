"""The requests and responses of the Kafka listener as plain values, each with its bytes declared beside it.

Names and fields are those of Kafka's schemas, in snake case, in wire order; every field has Kafka's default, also in
versions without it. Versions, and which are flexible, are `yakt.kafka.apis`'s to say. Source: rpcs.md §5 to §10.
"""
