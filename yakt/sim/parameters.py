"""What kind of trouble one seed is in for: drawn once, printed on one line, enough to know a run by.

Swarm testing (verification.md, section 2): a run with every fault at once hides bugs that need a quiet corner, so each
class of fault is off in about half of the seeds.
"""

from random import Random

import attrs

NODES = (3, 3, 3, 5, 5, 1)
"""How many voters a seed gets when nobody says: mostly three."""


@attrs.frozen(kw_only=True)
class Parameters:
    """The settings of one run. Times in seconds, probabilities from 0 to 1, 0 or None for "off"."""

    nodes: int
    # network
    tcp: bool = True
    """Links keep order and lose only what was under way when they are cut; otherwise each message fends for itself."""
    delay: float = 0.001
    """Mean of a message's usual way."""
    spike: float = 0.0
    """How often a message takes up to ten election timeouts instead."""
    loss: float = 0.0
    duplication: float = 0.0
    replay: float = 0.0
    """How often a message comes once more up to a minute later (not with tcp)."""
    cut_every: float | None = None
    """Mean time between cuts of one connection, with tcp; without, between false alarms."""
    partition_every: float | None = None
    flap: bool = False
    """Partitions come and go with a period near the election timeout."""
    # process
    crash_every: float | None = None
    crash_handling: float = 0.0
    """How often a node dies right after it handled a Vote or a Fetch."""
    crash_leader: float = 0.0
    """How often a node dies right after it became leader."""
    crash_between: float = 0.0
    """How often a node dies between two effects of one step."""
    crash_all_every: float | None = None
    restart_max: float = 2.0
    """A dead node is back after 5 ms up to this."""
    pause_every: float | None = None
    pause_max: float = 3.0
    stop_every: float | None = None
    """Mean time between ordered stops (a rolling restart's) and asked-for transfers of the leadership."""
    # disk
    flush: float = 0.0005
    """Mean time of a flush; 0: inline, within the turn."""
    slow_flush: float = 0.0
    """How often a flush takes up to `slow_flush_max`."""
    slow_flush_max: float = 1.0
    lose_unsynced: bool = True
    """A crash takes what was not flushed (any suffix of it), as a power cut; otherwise only the process dies."""
    group_commit: bool = True
    """Nothing is proposed while a flush is out, as the node does it."""
    # clock
    clock_skew: float = 0.0
    """Each node's clock runs at a rate within 1 +- this."""
    # sizes
    fetch_batches: int = 50
    """A fetch answer holds at most so many batches."""
    snapshot_every: int | None = None
    """A node takes a snapshot after so many further records."""
    snapshot_keep: int = 2
    chunk: int = 4096
    """Bytes of a snapshot that one answer holds."""
    # load
    writers: int = 2
    readers: int = 1
    think: float = 0.01
    """Mean time between a client's answer and its next request."""
    patience: float = 1.0
    """A client asks again, perhaps elsewhere, after so long."""
    core_only: bool = False
    """The healing at the end mends only a connected majority; other links stay cut."""
    election_timeout: float = 0.3
    fetch_timeout: float = 0.6
    kraft_version: int = 0
    """What the configuration asks for; at 1 nodes also come back at other addresses."""

    def line(self) -> str:
        """Everything that differs from a quiet network of good machines, on one line."""
        pieces = [f"nodes={self.nodes}"]
        for field in attrs.fields(Parameters):
            value = getattr(self, field.name)
            if field.name != "nodes" and value != field.default:
                pieces.append(f"{field.name}={value:.4g}" if isinstance(value, float) else f"{field.name}={value}")
        return " ".join(pieces)


def draw(seed: int, nodes: int | None = None) -> Parameters:
    """The parameters of `seed`; `nodes` overrides only how many voters there are."""
    # A generator of its own: what a seed is in for must not change with how a run uses up its chance.
    random = Random(f"parameters {seed}")

    def maybe(low: float, high: float, odds: float = 0.5) -> float:
        value = random.uniform(low, high)
        return value if random.random() < odds else 0.0

    def every(low: float, high: float, odds: float = 0.5) -> float | None:
        return maybe(low, high, odds) or None

    drawn = random.choice(NODES)
    tcp = random.random() < 0.5
    short = random.random() < 0.3
    return Parameters(
        nodes=nodes or drawn,
        tcp=tcp,
        delay=random.choice((0.0003, 0.001, 0.005, 0.03)),
        spike=maybe(0.001, 0.05),
        loss=0.0 if tcp else maybe(0.0, 0.3),
        duplication=0.0 if tcp else maybe(0.0, 0.5),
        replay=0.0 if tcp else maybe(0.0, 0.1),
        cut_every=every(0.2, 5.0),
        partition_every=every(0.2, 4.0),
        flap=random.random() < 0.3,
        crash_every=every(0.3, 5.0),
        crash_handling=maybe(0.001, 0.02),
        crash_leader=maybe(0.1, 0.9),
        crash_between=maybe(0.001, 0.02),
        crash_all_every=every(2.0, 10.0, 0.25),
        restart_max=random.choice((0.05, 0.3, 2.0, 10.0)),
        pause_every=every(0.5, 5.0),
        pause_max=random.choice((0.2, 1.0, 5.0, 30.0)),
        stop_every=every(0.5, 6.0, 0.3),
        flush=random.choice((0.0, 0.0005, 0.003, 0.02)),
        slow_flush=maybe(0.01, 0.3),
        slow_flush_max=random.choice((0.1, 1.0, 5.0)),
        lose_unsynced=random.random() < 0.8,
        group_commit=random.random() < 0.5,
        clock_skew=maybe(0.05, 0.3),
        fetch_batches=random.choice((1, 1, 2, 50)),
        snapshot_every=random.choice((None, None, 3, 10, 30, 100)),
        snapshot_keep=random.choice((1, 2, 3)),
        chunk=random.choice((16, 100, 4096, 65536)),
        writers=random.choice((1, 2, 3, 6)),
        readers=random.choice((0, 1, 2)),
        think=random.choice((0.001, 0.01, 0.05)),
        patience=random.choice((0.1, 0.5, 2.0)),
        core_only=random.random() < 0.5,
        election_timeout=0.05 if short else 0.3,
        fetch_timeout=0.1 if short else 0.6,
        kraft_version=int(random.random() < 0.4),
    )
