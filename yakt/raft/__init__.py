"""KRaft consensus as a pure core over opaque batches: no clock, socket, file, task or randomness of its own."""
