"""A node that only looks like one: says that it serves, answers STATUS as a leader, and goes when told.

`fake_node.py CONFIG`. What it does is told by the environment: FAKE_NODE=broken ends before it serves, deaf does not
heed SIGTERM.
"""

import os
import signal
import socketserver
import sys
import threading
from pathlib import Path

from yakt.config import load_config


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            if line.startswith(b"STATUS"):
                self.wfile.write(b"OK node=1 role=leader leader=1 epoch=4\n")
            elif line.startswith(b"WATCH"):
                self.wfile.write(b"OK watching=true since=0\n")
                self.wfile.write(b'* topic offset=3 name=orders say="topic orders was created"\n')
            else:
                self.wfile.write(b"  " + line + b"OK\n")


def main() -> None:
    config = load_config(Path(sys.argv[1]))
    behaviour = os.environ.get("FAKE_NODE", "")
    if behaviour == "broken":
        print("cannot listen on port 7: it is broken", file=sys.stderr)
        sys.exit(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # for sigwait; a handler's thread might be asleep
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server = socketserver.ThreadingTCPServer((config.line.listen.host, config.line.listen.port), Lines)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = "{}:{}".format(*server.server_address)
    print(f"yakt node {config.node.id} serving: line {address} peer {config.peer.listen}", file=sys.stderr, flush=True)
    while signal.sigwait({signal.SIGTERM}):
        if behaviour != "deaf":
            os._exit(0)


if __name__ == "__main__":
    main()
