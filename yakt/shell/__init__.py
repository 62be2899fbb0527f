"""The interactive shell: lines of the protocol with history and completion, replies as tables, events as they come."""
