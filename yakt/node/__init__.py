"""The shell around one replica: drives the core, stores, replays, and answers. Knows no adapter."""
