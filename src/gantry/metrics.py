"""Named counters and timers that any room may use (Prometheus, one value over all processes)."""

from __future__ import annotations

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

received_instances = Counter("gantry_received_instances", "C-STORE requests answered", ["status"])
received_bytes = Counter("gantry_received_bytes", "Data set bytes of stored instances")
associations_open = Gauge("gantry_associations_open", "Associations the receiver serves now", multiprocess_mode="livesum")
associations_rejected = Counter("gantry_associations_rejected", "Associations rejected", ["reason"])
indexed_instances = Counter("gantry_indexed_instances", "Instances that left the spool", ["outcome"])
index_batch_seconds = Histogram("gantry_index_batch_seconds", "Time to index one batch")
delivered_instances = Counter("gantry_delivered_instances", "Send attempts by outcome", ["outcome"])
delivered_bytes = Counter("gantry_delivered_bytes", "Data set bytes of confirmed deliveries")
_LATEST: Literal["livemostrecent"] = "livemostrecent"
deliveries = Gauge(
    "gantry_deliveries", "Deliveries that are not confirmed, by node", ["node", "state"], multiprocess_mode=_LATEST
)
delivery_bytes_waiting = Gauge(
    "gantry_delivery_bytes_waiting", "Data set bytes still to be sent", ["node"], multiprocess_mode=_LATEST
)
delivery_queue_age = Gauge(
    "gantry_delivery_queue_age_seconds", "Age of the oldest open delivery", ["node"], multiprocess_mode=_LATEST
)
delivery_breaker = Gauge("gantry_delivery_breaker", "0 closed, 1 half-open, 2 open", ["node"], multiprocess_mode=_LATEST)
#: From milliseconds (a small object on a quick disk) to half a minute (a large one on a slow line).
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
received_seconds = Histogram(
    "gantry_received_seconds",
    "From the command of a C-STORE to its durable answer, by calling AE title",
    ["aet"],
    buckets=_SECONDS,
)
#: Names that strangers choose become labels: more than these are one.
MAX_NAMES = 200
_timers: dict[str, Histogram] = {}


def receive_timer(aet: str) -> Histogram:
    """The histogram of a calling AE title; the 201st is `(other)`."""
    found = _timers.get(aet)
    if found is None:
        name = aet if len(_timers) < MAX_NAMES else "(other)"
        found = received_seconds.labels(name)
        if name == aet:
            _timers[aet] = found
    return found


#: What is looked up when it is asked for (main/gauges.py): name to labels and meaning.
AT_SCRAPE: dict[str, tuple[tuple[str, ...], str]] = {
    "gantry_build": (("version", "python"), "1, with what runs"),
    "gantry_disk_free_bytes": (("volume",), "Free space of a volume"),
    "gantry_disk_size_bytes": (("volume",), "Size of a volume"),
    "gantry_disk_reserve_bytes": (("volume",), "Free space that is kept; below it nothing is stored there"),
    "gantry_index_lag_seconds": ((), "Longest wait of a received object for the index in the last three minutes"),
    "gantry_indexer_silent_seconds": ((), "Since the last sign of life of the indexer of this host"),
    "gantry_queue_jobs": (("queue", "state"), "Jobs of the queue that are not done"),
    "gantry_database_connections": (("application",), "Connections to this database"),
    "gantry_database_connections_limit": ((), "Connections the database server takes"),
    "gantry_alerts": (("state",), "Alerts that are not closed"),
    "gantry_webhook_notices": (("webhook", "state"), "Messages to webhooks that are not sent"),
    "gantry_live_clients": ((), "Live connections of this web process"),
    "gantry_scrape_errors": ((), "1 when something above could not be looked up"),
}
