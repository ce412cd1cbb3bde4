"""A node's statistics as Prometheus metrics. They are read when Prometheus asks; a request costs nothing here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from ...runtime.histogram import Histogram
    from ...runtime.node import NodeStatistics

PREFIX = "paxosstore"

HELP = {
    "writes": "Write requests taken.",
    "reads": "Read-only requests taken.",
    "entries_proposed": "Batches: entries proposed by this node.",
    "requests_proposed": "Requests in those batches.",
    "rounds_preauth": "Proposals that skipped the prepare phase.",
    "rounds_full": "Proposals with a prepare phase.",
    "rounds_widened": "Proposals that went to the other nodes too, because those asked first took long.",
    "read_questions": "Quorum checks asked for reads.",
    "reads_served": "Reads served after a quorum check.",
    "handed_over": "Requests handed over to the preferred proposer.",
    "handed_over_taken_back": "Requests proposed here after all, because it did not answer.",
    "handed_over_received": "Requests taken over from other nodes.",
    "catchup_requests": "Catch-up requests sent.",
    "comparisons": "Times this node has compared itself with a peer, from the root of the digests.",
    "comparisons_repeated": "Times a peer was asked again for its digests, because no answer came.",
    "digests_differed": "Nodes of a peer's tree of digests that were others than here.",
    "digests_late": "Digests or inventories of peers that nobody waited for any more.",
    "digests_not_ready": "Times the digests were asked for while they were still being added up.",
    "buckets_listed": "Buckets of entities that were listed for peers.",
    "entities_behind": "Entities that were found to be further at a peer, and caught up.",
    "answers_paced": "Turns in which catch-up of peers waited for catch_up_bytes_per_second, or the background budget.",
    "catchups_held": "Times an entity waited until fewer others caught up (max_catch_ups), or for the background budget.",
    "catchups_in_vain": "Times a peer had said that there is more of an entity, and no peer had it, not even that one.",
    "catchups_paced": "Of them, those that waited for the background budget.",
    "entries_learned": "Chosen entries learned by catch-up.",
    "entries_applied": "Entries applied to the data.",
    "applies_held": "Times an entity had more to apply than a turn takes, and lagged (max_turn_applies).",
    "entries_held": "Entries not taken in because too much was not applied yet: they are learned later (max_unapplied_bytes).",
    "entries_gone": "Times a peer asked for entries that are not in the log any more: it copies the data.",
    "snapshots_wanted": "Copies of an entity's data that this node has begun to ask for.",
    "snapshots_cheaper": "Of them, those that were asked for because replaying would have cost more.",
    "snapshots_held": "Copies that waited until others were over (max_snapshots).",
    "snapshots_not_needed": "Copies that were not needed any more when their turn came.",
    "snapshots_outdated": "Copies that the peer had no newer data for.",
    "snapshots_refused": "Pieces of copies that a peer could not give: another one is asked.",
    "snapshots_timed_out": "Copies given up because the peer was silent: another one is asked.",
    "snapshots_recovered": "Copies that had not ended before a restart, or a failed write: what there was of them was deleted.",
    "snapshots_without_room": "Copies given up because the disk was almost full.",
    "snapshots_installed": "Copies that were completed.",
    "snapshots_given": "Copies that a peer has begun to read here.",
    "snapshots_not_given": "Pieces of copies that this node could not give.",
    "snapshots_abandoned": "Copies that a peer has stopped to read.",
    "snapshot_pieces": "Pieces of copies that were taken in.",
    "snapshot_pieces_late": "Pieces of copies that nobody waited for any more.",
    "evictions": "Entities that have left memory.",
    "evictions_held": "Times an entity that was not used for long could not leave memory yet.",
    "refused_while_loading": "Requests refused because their entity was not loaded in time (max_load_wait_ms).",
    "founded": "Whether this node has seen the cluster begin since its start.",
    "new_again": "Times this node, whose store was damaged, has found that no cluster had begun.",
    "reentries": "Times this node has found out that its disk is not the one that its peers know.",
    "copies_found_out": "Times it was found out that this node runs on a copy of a data directory.",
    "peers_fenced": "Peers that came back on another disk.",
    "messages_fenced": "Frames dropped because they came from a disk that another has taken the place of.",
    "floors_set": "Entities that only learn here, because what was promised for them was lost.",
    "floors_passed": "Entities that have learned all that may have been promised, and vote again.",
    "votes_withheld": "Votes not given because what was promised may have been lost.",
    "answers_withheld": "Read questions not answered for the same reason.",
    "learn_only_switches": "Times this node was told to learn only, or to stop that.",
    "refused_learning": "Requests refused because this node learns only.",
    "fills_asked": "Times a peer was asked to fill an entry that nobody had decided, so that an entity can vote again.",
    "entries_filled": "Entries decided for a peer that had asked for it.",
    "bytes_learned": "Bytes of values and copies learned while coming back.",
    "entities_compared": "Entities whose replicas this node has compared.",
    "entities_differing": "Comparisons that found data that differs. Anything above 0 is an alarm.",
    "entities_compared_in_part": "Comparisons that some node did not take part in.",
    "compared_bytes": "Bytes of data that were compared, of one replica.",
    "claims_refuted": "Entries that a peer had called chosen and that a full round has found empty.",
    "values_unreadable": "Entities with a chosen value that cannot be read: the entity is stopped. Anything above 0 is an alarm.",
    "divergences_seen": "Entities of which replicas were seen to differ: the entity is stopped. Anything above 0 is an alarm.",
}
"""Of the counters whose name does not say enough."""


class NodeMetrics(Collector):
    """Collects from `statistics`, and what `extra` adds (the services' own)."""

    def __init__(self, statistics: Callable[[], NodeStatistics], extra: Callable[[], Iterable[Metric]] = tuple) -> None:
        self._statistics = statistics
        self._extra = extra

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        now = self._statistics()
        yield from counters("", now.counters)
        yield from gauges(
            "",
            {
                "serving": now.serving,
                "quorum": not now.no_quorum_because,
                "ready": not now.not_ready_because,
                "learns_only": now.learns_only,
                "writes_allowed": not now.writes_refused_because,
                "disk_silent_milliseconds": now.disk_silent_ms,
                "entities_in_memory": now.memory.entities,
                "entries_in_memory": now.memory.entries,
                "entities_bytes": now.memory.bytes,
                "waiting_requests": now.waiting_requests,
                "waiting_events": now.waiting_events,
                "waiting_bytes": now.waiting_bytes,
                "in_flight_bytes": now.in_flight_bytes,
                "entities_stopped": len(now.stopped),
                "replicas_differing": now.differing_entities,
            },
        )
        lag = now.lag
        figures = {"entities": lag.entities, "entries": lag.entries, "bytes": lag.bytes, "most_entries": lag.entity_entries}
        yield from gauges("lag", figures)
        yield from gauges("reentry", _reentry(now))
        yield from gauges("log", {"kept_bytes": now.log_kept.bytes, "expiry_fails": bool(now.log_kept.trouble)})
        yield from counters("log", {"expired_entries": now.log_kept.expired_entries})
        yield from counters("damage", {name: value for name, value in now.damage._asdict().items() if name != "latest"})
        yield from _snapshots(now)
        yield from _reconciliation(now)
        yield from _background(now)
        yield _histogram("turn_milliseconds", "Time of one turn, without its sync.", now.turn_ms)
        yield _histogram("sync_milliseconds", "Time of one sync of the log.", now.sync_ms)
        yield _histogram("turn_events", "Events taken in by one turn.", now.events_per_turn)
        yield from _clocks(now)
        yield from _peers(now)
        yield from self._extra()


def counters(part: str, values: Mapping[str, float]) -> Iterator[Metric]:
    """One counter a value, named after the part of the program it belongs to."""
    for name, value in values.items():
        yield CounterMetricFamily(_name(part, name), HELP.get(name, _words(name)), value=value)


def gauges(part: str, values: Mapping[str, float]) -> Iterator[Metric]:
    for name, value in values.items():
        yield GaugeMetricFamily(_name(part, name), _words(name), value=value)


def _reentry(now: NodeStatistics) -> dict[str, float]:
    one = now.reentry
    return {
        "done": one.done,
        "waiting": bool(one.waits_for),
        "entities": one.entities,
        "entities_passed": one.passed,
        "bytes_learned": one.bytes_now,
        "entities_per_second": one.entities_per_s,
        "bytes_per_second": one.bytes_per_s,
        "seconds_left": one.eta_s,
    }


def _snapshots(now: NodeStatistics) -> Iterator[Metric]:
    families = [
        GaugeMetricFamily(_name("snapshots", "active"), "Entities that are copied now.", labels=["way"]),
        GaugeMetricFamily(_name("snapshots", "bytes"), "Bytes of them that are copied already.", labels=["way"]),
        GaugeMetricFamily(_name("snapshots", "bytes_per_second"), "The rate of that, since each began.", labels=["way"]),
    ]
    for way, sends in (("to_peer", True), ("from_peer", False)):
        some = [transfer for transfer in now.transfers if transfer.sends == sends]
        values = (len(some), sum(one.size for one in some), sum(one.bytes_per_second for one in some))
        for family, value in zip(families, values, strict=True):
            family.add_metric([way], value)
    yield from families


def _reconciliation(now: NodeStatistics) -> Iterator[Metric]:
    seen = now.reconciliation
    states = {"waiting": seen.waiting, "under_way": seen.under_way, "digests_known": not seen.digests}
    yield from gauges("catch_up", states)
    families = [
        GaugeMetricFamily(_name("comparison", "under_way"), "Whether it compares itself with the peer now.", labels=["peer"]),
        GaugeMetricFamily(_name("comparison", "share"), "How far it is: 1 is all.", labels=["peer"]),
        GaugeMetricFamily(_name("comparison", "behind"), "Entities found that are further at the peer.", labels=["peer"]),
    ]
    for one in seen.comparisons:
        for family, value in zip(families, (one.under_way, one.share, one.behind), strict=True):
            family.add_metric([str(one.peer)], value)
    yield from families


def _background(now: NodeStatistics) -> Iterator[Metric]:
    """What goes on behind the requests."""
    used = now.background
    yield from gauges("background", {"load": used.load, "pace": used.pace})
    families: list[CounterMetricFamily | GaugeMetricFamily] = [
        CounterMetricFamily(_name("background", "bytes"), "Bytes that a job behind the requests has moved.", labels=["job"]),
        CounterMetricFamily(_name("background", "busy_milliseconds"), "Processor time that it has taken.", labels=["job"]),
        GaugeMetricFamily(_name("background", "waits_milliseconds"), "Until it may go on; 0: it may.", labels=["job"]),
    ]
    for job, usage in used.jobs.items():
        for family, value in zip(families, (usage.bytes, usage.ms, usage.waits_ms), strict=True):
            family.add_metric([job], value)
    yield from families


def _clocks(now: NodeStatistics) -> Iterator[Metric]:
    """By what they say together (rule 20)."""
    yield from gauges("clock", {"expires": now.clock.expires, "trouble": bool(now.clock.trouble)})
    help_text = "How far the clock of a node is ahead of what this one goes by."
    family = GaugeMetricFamily(_name("clock", "offset_milliseconds"), help_text, labels=["node"])
    for node, offset_ms in sorted({now.node: now.clock.offset_ms, **now.clock.peers}.items()):
        family.add_metric([str(node)], offset_ms)
    yield family


def _peers(now: NodeStatistics) -> Iterator[Metric]:
    families: list[CounterMetricFamily | GaugeMetricFamily] = [
        GaugeMetricFamily(_name("peer", "up"), "Whether the link to the peer is up.", labels=["peer"]),
        GaugeMetricFamily(_name("peer", "queued_frames"), "Frames that wait for the peer.", labels=["peer"]),
        GaugeMetricFamily(_name("peer", "queued_bytes"), "Bytes that wait for the peer.", labels=["peer"]),
        GaugeMetricFamily(_name("peer", "rtt_milliseconds"), "Smoothed round trip to the peer; 0: unknown.", labels=["peer"]),
        GaugeMetricFamily(_name("peer", "down_seconds"), "For how long the link has been down; 0: it is up.", labels=["peer"]),
        CounterMetricFamily(_name("peer", "dropped_frames"), "Frames that did not leave.", labels=["peer"]),
        CounterMetricFamily(_name("peer", "reconnects"), "Times the link was set up again.", labels=["peer"]),
    ]
    for peer, link in now.peers.items():
        values = (link.up, link.queued_frames, link.queued_bytes, link.rtt_ms, link.down_s, link.dropped, link.reconnects)
        for family, value in zip(families, values, strict=True):
            family.add_metric([str(peer)], value)
    yield from families


def _histogram(name: str, help_text: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(_name("", name), help_text, buckets=histogram.cumulative(), sum_value=histogram.total)


def _name(part: str, name: str) -> str:
    return "_".join(word for word in (PREFIX, part, name) if word)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize() + "."
