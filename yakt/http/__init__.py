"""The HTTP adapter: the CRD API that YAKt grew from, lines over POST, events, status and metrics (README.md)."""
