"""Routes: is this process alive, can this instance work, and what it has counted."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import Field

from gantry import config
from gantry.accounts.allowed import allowed
from gantry.accounts.route import anyone, may, somebody_or_nobody
from gantry.main.gauges import gauges

log = logging.getLogger("gantry.web")
router = Router(tags=["system"])

#: The indexer touches HOME/run/indexer.alive this often or oftener; three misses and it is not alive.
INDEXER_SILENT_SECONDS = 30.0
_migrated = False


class Live(Schema):
    """The process answers."""

    status: str = Field(examples=["live"])


class Check(Schema):
    """One check; only for those who may see details."""

    name: str = Field(examples=["database"])
    ok: bool
    message: str = Field(examples=["reachable"])
    remedy: str = ""


class Ready(Schema):
    """Whether this instance can work."""

    status: str = Field(description="ready or not_ready", examples=["ready"])
    checks: list[Check] | None = Field(default=None, description="Null unless you may see details (system.view)")


def _database() -> Check:
    remedy = "Start PostgreSQL, or correct database_url; `gantry doctor` says more."
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Check(name="database", ok=False, message="cannot be reached", remedy=remedy)
    return Check(name="database", ok=True, message="reachable")


def _migrations() -> Check:
    """The tables are those of this version. A yes is remembered: they do not go back while we run."""
    global _migrated  # noqa: PLW0603  building the migration graph takes 50 ms, too long for each probe
    try:
        if not _migrated:
            executor = MigrationExecutor(connection)
            _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return Check(name="migrations", ok=False, message="unknown, the database does not answer")
    if _migrated:
        return Check(name="migrations", ok=True, message="applied")
    return Check(name="migrations", ok=False, message="some are not applied", remedy="`gantry up` applies them.")


def _spool() -> Check:
    place = Path(config.current().home) / "spool"
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Check(name="spool", ok=True, message="writable")
    return Check(name="spool", ok=False, message="cannot be written", remedy="Give the home back to its user.")


def _disk() -> Check:
    settings = config.current()
    try:
        free = shutil.disk_usage(settings.home).free
    except OSError:
        return Check(name="disk", ok=False, message="the volume of the home does not answer", remedy="Check its mount.")
    if free >= settings.disk_reserve_mb * 1024 * 1024:
        return Check(name="disk", ok=True, message="above the reserve")
    return Check(name="disk", ok=False, message="below the reserve", remedy="Free space; C-STORE is answered A700 until then.")


def _indexer() -> Check:
    mark = Path(config.current().home) / "run" / "indexer.alive"
    try:
        silent = time.time() - mark.stat().st_mtime
    except FileNotFoundError:
        return Check(name="indexer", ok=True, message="none was started on this host")
    if silent <= INDEXER_SILENT_SECONDS:
        return Check(name="indexer", ok=True, message="alive")
    return Check(
        name="indexer", ok=False, message=f"silent for {int(silent)} s",
        remedy="Look at logs/indexer.log; received objects wait in the spool.",
    )  # fmt: skip


CHECKS: tuple[Callable[[], Check], ...] = (_database, _migrations, _spool, _disk, _indexer)


@router.get(
    "/health/live", auth=anyone("A supervisor has no account; it says nothing but that we answer"),
    response=Live, summary="Is the process alive?",
)  # fmt: skip
def live(request: HttpRequest) -> dict[str, str]:
    """Answers as long as the process does; touches nothing else."""
    return {"status": "live"}


@router.get(
    "/health/ready", auth=anyone("A load balancer has no account; details are for system.view only"),
    response={200: Ready, 503: Ready}, summary="Can this instance work?",
)  # fmt: skip
def ready(request: HttpRequest) -> Status[dict[str, Any]]:
    """200 when everything it needs is there, otherwise 503; who may see details gets the list of checks."""
    checks = [check() for check in CHECKS]
    fine = all(check.ok for check in checks)
    try:
        details = bool(allowed(somebody_or_nobody(request), "system.view"))
    except DatabaseError:
        details = False
    answer = {"status": "ready" if fine else "not_ready", "checks": checks if details else None}
    return Status(200 if fine else 503, answer)


_TEXT = {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get(
    "/metrics",
    auth=may("metrics.view"),
    summary="Prometheus metrics",
    url_name="metrics",
    openapi_extra={"responses": {200: _TEXT}},
)
def metrics(request: HttpRequest) -> HttpResponse:
    """The counters of all processes, and gauges of disk, queue, database and alerts, in Prometheus' text format."""
    counted: CollectorRegistry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]  # the library has no types here
    looked_up = CollectorRegistry()
    looked_up.register(gauges)
    return HttpResponse(generate_latest(counted) + generate_latest(looked_up), content_type=CONTENT_TYPE_LATEST)
