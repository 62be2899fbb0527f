"""Logs and snapshots read while nobody serves them, or beside the node that does; never written, never locked."""
