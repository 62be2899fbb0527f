"""Adapter: the members of the quorum, over binary frames of our own (PROTOCOL.md). Knows no node, log or image."""
