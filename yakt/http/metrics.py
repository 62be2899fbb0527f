"""/metrics: the quorum and the metadata in figures, in Prometheus' form, from plain integers when asked for."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from yakt.line.declarations import COMMANDS
from yakt.node.service import ControllerService, Traffic

ROLES = ("unattached", "prospective", "candidate", "leader", "follower", "resigned")


class HistogramView(Protocol):
    """A histogram as plain numbers."""

    @property
    def bounds(self) -> Sequence[float]:
        """Upper bounds of the buckets, inclusive, without infinity."""
        ...

    @property
    def counts(self) -> Sequence[int]:
        """In each bucket, and beyond the last bound; not cumulated."""
        ...

    @property
    def total(self) -> float:
        """Sum of all that was observed."""
        ...


class Figures(Protocol):
    """What the node counts and the service does not tell."""

    @property
    def elections(self) -> int:
        """Times the leader changed, as seen here."""
        ...

    @property
    def commit_seconds(self) -> HistogramView | None:
        """From a proposal to its commit, at the leader."""
        ...

    @property
    def fsync_seconds(self) -> HistogramView | None:
        """Of each sync of the log."""
        ...


class Metrics:
    """Gathers what /metrics shows."""

    def __init__(self, service: ControllerService, figures: Figures, traffic: Mapping[str, Traffic]) -> None:
        self._service = service
        self._figures = figures
        self._traffic = traffic
        self._ready = False
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Gatherer(self))

    def text(self, *, ready: bool) -> bytes:
        """The page. `ready`: a write sent here now would commit."""
        self._ready = ready
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """All families of ours."""
        yield from self._quorum()
        yield from self._metadata()
        yield from self._listener()

    def _quorum(self) -> Iterator[Metric]:
        statistics = self._service.statistics()
        leader = self._service.leader_id
        yield _gauge(
            "yakt_quorum_leader_id", "Who leads; -1: nobody, as far as is known.", -1 if leader is None else leader
        )
        yield _gauge("yakt_quorum_epoch", "The epoch.", statistics.epoch)
        role = GaugeMetricFamily("yakt_quorum_role", "1 for the present role.", labels=["role"])
        for name in ROLES:
            role.add_metric([name], statistics.role == name)
        yield role
        yield CounterMetricFamily(
            "yakt_quorum_elections", "Changes of the leader seen here.", value=self._figures.elections
        )
        lag = GaugeMetricFamily(
            "yakt_quorum_voter_lag_records", "Records a voter is behind; at the leader.", labels=["voter"]
        )
        if statistics.role == "leader":
            for voter in statistics.voters:
                if voter.end_offset is not None:
                    lag.add_metric([str(voter.id)], max(0, statistics.log_end_offset - voter.end_offset))
        yield lag
        yield _gauge("yakt_log_start_offset", "The first offset kept.", statistics.log_start_offset)
        yield _gauge("yakt_log_end_offset", "One past the last record.", statistics.log_end_offset)
        yield _gauge("yakt_high_watermark_offset", "One past the last committed record.", statistics.high_watermark)
        yield _gauge("yakt_applied_offset", "All below is in the image.", self._service.applied_end_offset)
        yield _gauge("yakt_ready", "1: a write sent here now would commit.", int(self._ready))
        for name, text, view in (
            ("yakt_commit_seconds", "From a proposal to its commit, at the leader.", self._figures.commit_seconds),
            ("yakt_fsync_seconds", "Of each sync of the log.", self._figures.fsync_seconds),
        ):
            if view is not None:
                yield _histogram(name, text, view)

    def _metadata(self) -> Iterator[Metric]:
        image = self._service.image
        states = Counter({"unfenced": 0, "fenced": 0, "shutting_down": 0})
        for row in image.brokers.rows():
            states["fenced" if row.fenced else "shutting_down" if row.shutting_down else "unfenced"] += 1
        brokers = GaugeMetricFamily("yakt_brokers", "Registered brokers.", labels=["state"])
        for state, count in states.items():
            brokers.add_metric([state], count)
        yield brokers
        counts = image.partition_table.counts
        yield _gauge("yakt_topics", "Topics.", len(image.topics))
        yield _gauge("yakt_partitions", "Partitions.", counts.shown)
        yield _gauge("yakt_partitions_leaderless", "Partitions without a leader.", counts.total_leaderless)
        yield _gauge(
            "yakt_partitions_under_replicated",
            "Partitions with replicas out of sync.",
            counts.total_under,
        )

    def _listener(self) -> Iterator[Metric]:
        connections = GaugeMetricFamily("yakt_connections", "Open connections.", labels=["listener"])
        for listener, traffic in self._traffic.items():
            connections.add_metric([listener], traffic.connections)
        yield connections
        requests = CounterMetricFamily("yakt_requests", "Requests answered.", labels=["listener", "command", "result"])
        for listener, traffic in self._traffic.items():
            answered = traffic.requests + Counter({(asked, "OK"): count for asked, count in traffic.done.items()})
            for (asked, result), count in answered.items():
                requests.add_metric([listener, _name_of(asked), result], count)
        yield requests


class _Gatherer(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()

    def describe(self) -> Iterator[Metric]:
        return iter(())


_NAMES = {spec.make: spec.name for spec in COMMANDS}


def _name_of(asked: object) -> str:
    """Of a command's type as one types it; of one that no line makes alone, its own name."""
    if isinstance(asked, type):
        return _NAMES.get(asked, asked.__name__)
    return str(asked)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _histogram(name: str, text: str, view: HistogramView) -> HistogramMetricFamily:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip(view.bounds, view.counts, strict=False):
        below += count
        buckets.append((str(bound), below))
    buckets.append(("+Inf", below + view.counts[-1]))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=view.total)
