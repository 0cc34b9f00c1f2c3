"""The ledger as a delivery run sees it: the node, rows claimed, results written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.nodes.address import DimseAddress
from gantry.nodes.items import Outcome, Security, SendItem, SendResult, SendTarget
from gantry.nodes.passcodes import passcode_of
from gantry.nodes.profile import NodeProfile
from gantry.transfers import backoff

#: How long rows are ours before a run that died loses them, seconds; a living run renews four times as often.
LEASE_SECONDS = 120.0
#: Instances of a C-MOVE that are taken up at once; what is taken up can no longer be cancelled.
MOVE_CHUNK = 32
_ERROR_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What a run knows of its node. `paused_until` is None when it may send now."""

    id: int
    name: str
    aet: str
    host: str
    port: int
    calling_aet: str
    max_associations: int
    max_attempts: int
    connect_seconds: float
    response_seconds: float
    enabled: bool
    failure_count: int
    paused_until: datetime | None
    tls: bool
    tls_authorities: str
    tls_fingerprint: str
    tls_certificate: str
    tls_key: str
    user_name: str
    profile: dict[str, Any] | None

    def target(self, our_aet: str, home: Path) -> SendTarget:
        """Where and how to send; the passcode of its user is read from the home."""
        security = Security(
            tls=self.tls,
            authorities=self.tls_authorities,
            fingerprint=self.tls_fingerprint,
            certificate=self.tls_certificate,
            key=self.tls_key,
            user=self.user_name,
            passcode=passcode_of(home, self.id) if self.user_name else "",
        )
        return SendTarget(
            DimseAddress(self.aet, self.host, self.port),
            self.calling_aet or our_aet,
            connect_seconds=self.connect_seconds,
            response_seconds=self.response_seconds,
            security=security,
            quirks=frozenset(NodeProfile.from_dict(self.profile).quirks) if self.profile else frozenset(),
        )


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Items that were claimed and never tried; with `error` they show as failed. `delay` in seconds."""

    ids: list[int]
    error: str = ""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Patience:
    """The settings of the back-off, seconds."""

    first: float
    cap: float

    def draw(self, attempts: int) -> float:
        """A wait after so many failed attempts."""
        return backoff.delay(attempts, first=self.first, cap=self.cap, draw=random.random())  # noqa: S311  no secret


@dataclass(frozen=True, slots=True)
class Due:
    """When the next row may be sent; `now` by the clock of the database, which wrote the time."""

    at: datetime
    now: bool


class Ledger:
    """Statements of one run on one connection. `owner` marks the rows it holds."""

    def __init__(self, connection: psycopg.Connection, owner: str) -> None:
        self.connection = connection
        self.owner = owner
        self._queries = database.statements("gantry.transfers")

    def _run(self, name: str, /, **arguments: Any) -> psycopg.Cursor[Any]:
        return self.connection.execute(self._queries[name], arguments)

    def try_lock(self, node_id: int) -> bool:
        """Be the only run of this node, until the connection ends."""
        row = self._run("try_lock", node_id=node_id).fetchone()
        return bool(row and row[0])

    def node(self, node_id: int) -> NodeRow | None:
        """The node as it is now."""
        with self.connection.cursor(row_factory=class_row(NodeRow)) as cursor:
            return cursor.execute(self._queries["node"], {"node_id": node_id}).fetchone()

    def claim(self, node_id: int, limit: int, home: Path) -> dict[int, tuple[SendItem, int]]:
        """Take up to `limit` due rows: delivery id -> (what to send, attempts including this one)."""
        with self.connection.transaction():
            rows = self._run(
                "claim", node_id=node_id, limit=limit, move_limit=min(limit, MOVE_CHUNK), owner=self.owner,
                lease_seconds=LEASE_SECONDS,
            ).fetchall()  # fmt: skip
        return {
            key: (
                SendItem(
                    key,
                    f"{home}/{path}",
                    offset,
                    size,
                    bytes(digest),
                    sop_class,
                    instance,
                    syntax,
                    (aet, message_id) if message_id is not None else None,
                ),
                attempts,
            )
            for key, attempts, path, offset, size, digest, sop_class, instance, syntax, aet, message_id in rows
        }

    def renew(self, ids: Sequence[int]) -> None:
        """Keep rows ours for another lease."""
        self._run("renew", ids=list(ids), owner=self.owner, lease_seconds=LEASE_SECONDS)

    def confirm(self, results: Sequence[SendResult]) -> None:
        """Write what the peer confirmed."""
        if results:
            self._run(
                "confirm",
                ids=[result.item.key for result in results],
                dimse_statuses=[result.dimse_status for result in results],
                errors=[clean(result.explanation) for result in results],
                digests=[result.sha256 for result in results],
                started=[result.started_at for result in results],
                ended=[result.ended_at for result in results],
            )

    def fail(self, results: Sequence[SendResult], delays: Sequence[float], max_attempts: int) -> None:
        """Write what failed; what is damaged, or was tried `max_attempts` times, is dead."""
        if results:
            self._run(
                "fail",
                ids=[result.item.key for result in results],
                dimse_statuses=[result.dimse_status for result in results],
                errors=[clean(result.explanation) for result in results],
                digests=[result.sha256 if result.outcome is not Outcome.DAMAGED else None for result in results],
                started=[result.started_at for result in results],
                dead=[result.outcome is Outcome.DAMAGED for result in results],
                delays=list(delays),
                max_attempts=max_attempts,
                owner=self.owner,
            )

    def give_back(self, given: GivenBack) -> None:
        """Write that rows were not tried."""
        if given.ids:
            self._run("give_back", ids=given.ids, error=clean(given.error), delay=given.delay, owner=self.owner)

    def node_succeeded(self, node_id: int) -> None:
        """The node answered."""
        self._run("node_succeeded", node_id=node_id)

    def node_failed(self, node_id: int, error: str, delay: float) -> None:
        """The node cannot be reached: nothing is sent to it for `delay` seconds. A C-MOVE does not wait for that."""
        self._run("node_failed", node_id=node_id, error=clean(error), delay=delay)
        self._run("fail_moves", node_id=node_id, error=clean(error))

    def next_due(self, node_id: int) -> Due | None:
        """When the next row of the node may be sent; None when none is open."""
        row = self._run("next_due", node_id=node_id).fetchone()
        return Due(*row) if row else None


def clean(text: str) -> str:
    """Text of a peer as the database takes it: no NUL, bounded."""
    return text.replace("\0", "")[:_ERROR_LIMIT]
