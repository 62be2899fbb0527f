"""Bytes, whoever carries them: Kafka's types, length-prefixed frames, record batches. Pure; knows no metadata."""
