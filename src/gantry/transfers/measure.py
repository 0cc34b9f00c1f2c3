"""How the destinations are: what waits, how old it is, how fast it goes, when it will be through, the circuit breaker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row

from gantry import config, database, metrics
from gantry.nodes.calendar import NO_LIMIT, Calendar, parse_calendar
from gantry.nodes.errors import BadNode

_STATES = ("waiting", "sent", "failed", "held", "away", "dead")
_BREAKER = {"closed": 0, "half-open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Outlook:
    """One destination now. `rate` is what was seen lately, bytes per second; `oldest` when the oldest open delivery was
    ordered; `bytes` what is open."""

    id: int
    name: str
    kind: str
    enabled: bool
    breaker: str
    breaker_since: datetime | None
    retry_at: datetime | None
    last_error: str
    last_success_at: datetime | None
    failure_count: int
    max_associations: int
    bandwidth: str
    rate: float | None
    rate_at: datetime | None
    parallel: int | None
    waiting: int
    sent: int
    failed: int
    held: int
    away: int
    dead: int
    bytes: int
    oldest: datetime | None

    @property
    def open(self) -> int:
        """Deliveries that will go by themselves."""
        return self.waiting + self.sent + self.failed + self.away

    @property
    def limit(self) -> float | None:
        """Bytes per second that the calendar allows now; None: no limit, 0: closed."""
        rate = self._calendar().rate_at(datetime.now(UTC), _zone())
        return None if rate == float("inf") else rate

    @property
    def finish_at(self) -> datetime | None:
        """When what is open is expected to be through: None when nothing is open, or it cannot be told (it never ran,
        is held back, or does not answer)."""
        if not self.open or not self.enabled or self.breaker != "closed":
            return None
        return self._calendar().finish(self.bytes, self.rate, datetime.now(UTC), _zone())

    def _calendar(self) -> Calendar:
        try:
            return parse_calendar(self.bandwidth)
        except BadNode:
            return NO_LIMIT


def _zone() -> ZoneInfo:
    return ZoneInfo(config.current().time_zone)


def outlook(connection: psycopg.Connection, *, nodes: Collection[str] | None = None) -> list[Outlook]:
    """All destinations by name; `nodes`: these only."""
    values = {"names": None if nodes is None else sorted(nodes)}
    with connection.cursor(row_factory=class_row(Outlook)) as cursor:
        return cursor.execute(database.statements("gantry.transfers", "healing.sql")["outlook"], values).fetchall()


def publish(connection: psycopg.Connection) -> None:
    """Put it into the metrics of this process."""
    now = datetime.now(UTC)
    for one in outlook(connection):
        for state in _STATES:
            metrics.deliveries.labels(node=one.name, state=state).set(getattr(one, state))
        metrics.delivery_bytes_waiting.labels(node=one.name).set(one.bytes)
        metrics.delivery_queue_age.labels(node=one.name).set(max(0.0, (now - one.oldest).total_seconds()) if one.oldest else 0)
        metrics.delivery_breaker.labels(node=one.name).set(_BREAKER.get(one.breaker, 2))
