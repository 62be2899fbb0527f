"""The typed text protocol, YLP/1: grammar, commands, and the listener that speaks it; PROTOCOL.md is its spec."""
