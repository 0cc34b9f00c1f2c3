"""Named counters and timers that any room may use (Prometheus, one value over all processes)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

received_instances = Counter("gantry_received_instances", "C-STORE requests answered", ["status"])
received_bytes = Counter("gantry_received_bytes", "Data set bytes of stored instances")
associations_open = Gauge("gantry_associations_open", "Associations the receiver serves now", multiprocess_mode="livesum")
associations_rejected = Counter("gantry_associations_rejected", "Associations rejected", ["reason"])
indexed_instances = Counter("gantry_indexed_instances", "Instances that left the spool", ["outcome"])
index_batch_seconds = Histogram("gantry_index_batch_seconds", "Time to index one batch")
delivered_instances = Counter("gantry_delivered_instances", "Send attempts by outcome", ["outcome"])
delivered_bytes = Counter("gantry_delivered_bytes", "Data set bytes of confirmed deliveries")
