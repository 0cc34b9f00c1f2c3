"""What Prometheus asks for that no counter knows: looked up when it asks, bounded in time, once in five seconds at most."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from django.db import DatabaseError, connection, transaction
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import gantry
from gantry import config
from gantry.facts.live import broker
from gantry.metrics import AT_SCRAPE

log = logging.getLogger("gantry.web")
KEPT_SECONDS = 5.0
_PATIENCE = "2s"
Value = tuple[str, tuple[str, ...], float]

_QUERIES: dict[str, str] = {
    "gantry_index_lag_seconds": "SELECT coalesce(max(value), 0) FROM alerts_sample "
    "WHERE step = 'minute' AND measure = 'index_lag' AND at >= now() - interval '3 minutes'",
    "gantry_queue_jobs": "SELECT queue_name, status::text, count(*) FROM procrastinate_jobs "
    "WHERE status IN ('todo', 'doing') GROUP BY 1, 2",
    "gantry_database_connections": "SELECT coalesce(nullif(application_name, ''), '(none)'), count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() GROUP BY 1 ORDER BY 2 DESC LIMIT 100",
    "gantry_database_connections_limit": "SELECT setting::int FROM pg_settings WHERE name = 'max_connections'",
    "gantry_alerts": "SELECT state, count(*) FROM alerts_alert WHERE state IN ('open', 'acknowledged') GROUP BY 1",
    "gantry_webhook_notices": "SELECT webhook.name, notice.state, count(*) FROM alerts_notice AS notice "
    "JOIN alerts_webhook AS webhook ON webhook.id = notice.webhook_id WHERE notice.state <> 'sent' GROUP BY 1, 2 LIMIT 1000",
}


def _process() -> Iterator[Value]:
    yield "gantry_build", (gantry.__version__, platform.python_version()), 1
    yield "gantry_live_clients", (), len(broker.clients)
    try:
        alive = (Path(config.current().home) / "run" / "indexer.alive").stat().st_mtime
    except FileNotFoundError:
        return
    yield "gantry_indexer_silent_seconds", (), max(0.0, time.time() - alive)


def _disks() -> Iterator[Value]:
    settings = config.current()
    reserve = settings.disk_reserve_mb * 1024 * 1024
    places: dict[str, tuple[str, int]] = {"home": (str(settings.home), reserve)}
    for name, path, own in _rows("SELECT name, path, reserve_bytes FROM storage_volume WHERE NOT is_home LIMIT 100"):
        places[str(name)] = (str(path), int(str(own)) or reserve)
    for name, (path, least) in places.items():
        if not os.path.isdir(path):
            continue
        usage = shutil.disk_usage(path)
        yield "gantry_disk_free_bytes", (name,), usage.free
        yield "gantry_disk_size_bytes", (name,), usage.total
        yield "gantry_disk_reserve_bytes", (name,), least


def _database() -> Iterator[Value]:
    for name, query in _QUERIES.items():
        for *labels, value in _rows(query):
            yield name, tuple(str(label) for label in labels), float(str(value))


def _rows(query: str) -> list[tuple[object, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
        cursor.execute(query)
        return list(cursor.fetchall())


class Gauges(Collector):
    """Collects all of `metrics.AT_SCRAPE`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[float, list[Metric]] = (-KEPT_SECONDS, [])

    def collect(self) -> Iterable[Metric]:
        """As Prometheus' library wants it. What cannot be looked up is left out and counted as an error."""
        with self._lock:
            made, metrics = self._known
            if time.monotonic() - made >= KEPT_SECONDS:
                metrics = _families()
                self._known = (time.monotonic(), metrics)
        return metrics

    def describe(self) -> Iterable[Metric]:
        """Nothing: so that registering does not look anything up."""
        return []


def _families() -> list[Metric]:
    families = {name: GaugeMetricFamily(name, words, labels=labels) for name, (labels, words) in AT_SCRAPE.items()}
    failed = 0
    sources: tuple[Callable[[], Iterator[Value]], ...] = (_process, _disks, _database)
    for source in sources:
        try:
            for name, labels, value in source():
                families[name].add_metric(list(labels), value)
        except (DatabaseError, OSError) as error:
            log.warning("a gauge could not be looked up: %s", type(error).__name__)
            failed = 1
    families["gantry_scrape_errors"].add_metric([], failed)
    return list(families.values())


gauges = Gauges()
