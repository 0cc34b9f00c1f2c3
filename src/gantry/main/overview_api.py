"""Route: how this instance is right now, for the first page. One answer; each part is for those who may see it.

What is the same for everybody (traffic, queues, disks, checks) is looked up once in a few seconds, however many look.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from django.db import connection as django_connection
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

import gantry
from gantry import config
from gantry.accounts import connection
from gantry.accounts.allowed import Actor, allowed
from gantry.accounts.route import actor_of, may
from gantry.alerts.models import Alert
from gantry.alerts.schemas import AlertOut
from gantry.catalogue import Wanted, search_studies
from gantry.catalogue.access import access
from gantry.catalogue.api_studies import in_time
from gantry.catalogue.schemas import StudyOut
from gantry.intake import volumes
from gantry.main import overview_checks
from gantry.main.findings import Finding
from gantry.transfers.by_destination import Flow, flows
from gantry.transfers.measure import Outlook, outlook
from gantry.transfers.schemas import OutlookOut

router = Router(tags=["system"])
#: Over which time "now" is measured, seconds.
NOW_SECONDS = 60.0
ARRIVALS = 8
ALERTS = 20
T = TypeVar("T")


class FlowOut(Schema):
    """What came or went."""

    instances_per_second: float
    bytes_per_second: float


class TrafficOut(Schema):
    """What came and went in the last minute."""

    seconds: float = Field(description="Over which time it is measured", examples=[60.0])
    received: FlowOut
    forwarded: FlowOut
    index_lag_seconds: float = Field(description="The longest that something received waited for the index in that time")


class DiskOut(Schema):
    """A volume and how full its file system is."""

    name: str = Field(examples=["home"])
    state: str = Field(description="writing, full, readonly or missing", examples=["writing"])
    note: str
    size_bytes: int | None = Field(description="Of the file system; null: missing")
    free_bytes: int | None
    used_bytes: int = Field(description="Of stored files")
    reserve_bytes: int


class FindingOut(Schema):
    """One health check."""

    subject: str = Field(examples=["database"])
    level: Literal["fine", "warning", "problem"]
    message: str
    remedy: str


class StepsOut(Schema):
    """What a new instance needs: where modalities send to, and whether there are nodes and rules yet."""

    aet: str = Field(description="Our AE title", examples=["GANTRY"])
    dicom: str = Field(description="Where the receiver listens, HOST:PORT", examples=["127.0.0.1:11112"])
    has_studies: bool
    has_nodes: bool
    has_rules: bool


class Overview(Schema):
    """The instance right now. A part that is null is not for you."""

    at: datetime
    version: str
    traffic: TrafficOut | None = Field(description="Needs metrics.view")
    destinations: list[OutlookOut] | None = Field(description="Queues by destination; needs deliveries.view")
    disks: list[DiskOut] | None = Field(description="Needs storage.view")
    checks: list[FindingOut] | None = Field(description="What needs attention first; needs system.view")
    arrivals: list[StudyOut] | None = Field(description="The last studies that came; needs studies.view")
    alerts: list[AlertOut] | None = Field(description="Open ones, the newest first; needs alerts.view")
    steps: StepsOut | None = Field(description="Needs nodes.view and rules.view")


class Kept(Generic[T]):
    """A value that is looked up at most once in so many seconds, by one thread at a time."""

    def __init__(self, seconds: float, look: Callable[[], T]) -> None:
        self._seconds = seconds
        self._look = look
        self._lock = threading.Lock()
        self._known: tuple[float, T] | None = None

    def get(self) -> T:
        """The value; what looking it up raises is raised."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] >= self._seconds:
                self._known = (time.monotonic(), self._look())
            return self._known[1]

    def forget(self) -> None:
        """Look again next time."""
        with self._lock:
            self._known = None


def _disks() -> list[dict[str, Any]]:
    reserve = config.current().disk_reserve_mb * 1024 * 1024
    found = []
    for one in levels.get():
        place = config.current().home if one.volume.is_home else one.volume.path
        there = one.free_bytes is not None and os.path.isdir(place)
        found.append({
            "name": one.volume.name, "state": one.state, "note": one.note, "free_bytes": one.free_bytes,
            "size_bytes": shutil.disk_usage(place).total if there else None, "used_bytes": one.volume.used_bytes,
            "reserve_bytes": one.volume.reserve_bytes or (reserve if one.volume.is_home else 0),
        })  # fmt: skip
    return found


_LEVELS = {"problem": 0, "warning": 1, "fine": 2}
traffic: Kept[dict[str, Flow]] = Kept(2.0, lambda: flows(connection.of_request(), NOW_SECONDS))
destinations: Kept[list[Outlook]] = Kept(2.0, lambda: outlook(connection.of_request()))
levels: Kept[list[volumes.Level]] = Kept(5.0, lambda: volumes.levels(connection.of_request(), Path(config.current().home)))
checks: Kept[list[Finding]] = Kept(
    10.0, lambda: sorted(overview_checks.look(destinations.get(), levels.get()), key=lambda finding: _LEVELS[finding.level])
)


@router.get("/overview", auth=may("changes.view"), response=Overview, summary="How the instance is right now")
def get_overview(request: HttpRequest) -> dict[str, Any]:
    """Throughput, queues, disks, health checks, last arrivals and open alerts: each part for those who may see it."""
    actor = actor_of(request)

    def part(action: str, look: Callable[[], T]) -> T | None:
        return look() if allowed(actor, action) else None

    return {
        "at": datetime.now(UTC),
        "version": gantry.__version__,
        "traffic": part("metrics.view", _traffic),
        "destinations": part("deliveries.view", lambda: _queues(actor)),
        "disks": part("storage.view", _disks),
        "checks": part("system.view", lambda: [_finding(one) for one in checks.get()]),
        "arrivals": part("studies.view", lambda: _arrivals(actor)),
        "alerts": part("alerts.view", _open_alerts),
        "steps": _steps() if allowed(actor, "nodes.view") and allowed(actor, "rules.view") else None,
    }


def _open_alerts() -> list[Alert]:
    return list(Alert.objects.filter(state__in=["open", "acknowledged"]).order_by("-pk")[:ALERTS])


def _queues(actor: Actor) -> list[Outlook]:
    return [one for one in destinations.get() if actor.nodes is None or one.name in actor.nodes]


def _traffic() -> dict[str, Any]:
    found = traffic.get()
    received, forwarded = found["received"], found["forwarded"]
    return {
        "seconds": NOW_SECONDS, "received": _flow(received), "forwarded": _flow(forwarded), "index_lag_seconds": received.lag,
    }  # fmt: skip


def _flow(flow: Flow) -> dict[str, float]:
    return {"instances_per_second": flow.instances / NOW_SECONDS, "bytes_per_second": flow.bytes / NOW_SECONDS}


def _finding(one: Finding) -> dict[str, str]:
    return {"subject": one.subject, "level": one.level, "message": one.message, "remedy": one.remedy}


def _arrivals(actor: Actor) -> list[Any]:
    with in_time():
        return search_studies(connection.of_request(), Wanted(), limit=ARRIVALS, access=access(actor)).items


_STEPS = (
    "SELECT EXISTS (SELECT FROM catalogue_study), EXISTS (SELECT FROM nodes_node WHERE removed_at IS NULL), "
    "EXISTS (SELECT FROM routing_ruleset WHERE state = 'active' AND jsonb_array_length(rules) > 0)"
)


def _steps() -> dict[str, Any]:
    settings = config.current()
    with django_connection.cursor() as cursor:
        cursor.execute(_STEPS)
        studies, nodes, rules = cursor.fetchone()
    return {"aet": settings.aet, "dicom": settings.dicom, "has_studies": studies, "has_nodes": nodes, "has_rules": rules}
