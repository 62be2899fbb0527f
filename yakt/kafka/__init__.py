"""Adapter: Kafka's wire protocol, for unmodified brokers and Kafka's tools. See README.md beside this file."""
