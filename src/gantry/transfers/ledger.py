"""The ledger as a delivery run sees it: the node, rows claimed, results written."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from gantry import database
from gantry.nodes.items import AnyTarget, Outcome, SendItem, SendResult, Transcode
from gantry.nodes.kinds import FOLDER, WEB, target_from
from gantry.nodes.profile import NodeProfile
from gantry.transfers import backoff
from gantry.transfers.attempts import silent, trim

#: How long rows are ours before a run that died loses them, seconds; a living run renews four times as often.
LEASE_SECONDS = 30.0
#: Instances of a C-MOVE that are taken up at once; what is taken up can no longer be cancelled.
MOVE_CHUNK = 32
_ERROR_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class NodeRow:
    """What a run knows of its node. `paused_until` is None when it may send now."""

    id: int
    name: str
    kind: str
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
    url: str
    path_template: str
    transcode: Transcode
    bandwidth: str
    reconcile: str
    http_auth: str
    breaker: str
    parallel: int | None
    passcode: str = field(repr=False)

    def target(self, our_aet: str, home: Path) -> AnyTarget:
        """Where and how to send. Raises BadNode, also when the passcode of its user cannot be had."""
        return target_from(self, our_aet, home)

    @property
    def verified_by(self) -> str:
        """How we find out whether it has what it confirmed: commitment, query, file, or empty for not at all."""
        return way_of(self.reconcile, self.kind, self.profile)


def way_of(reconcile: str, kind: str, profile: Mapping[str, Any] | None) -> str:
    """From the setting of a node, its kind and its profile."""
    if reconcile == "off":
        return ""
    if kind == FOLDER:
        return "file"
    if kind == WEB:
        return "query" if reconcile in {"find", "auto"} else ""
    if reconcile in {"find", "commit"}:
        return "query" if reconcile == "find" else "commitment"
    known = NodeProfile.from_dict(profile) if profile else NodeProfile()
    if "storage commitment" in known.services:
        return "commitment"
    asks = any(service.startswith("find") for service in known.services)
    return "query" if asks and "no-image-level" not in known.quirks else ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One row that is ours for now: what to send, attempts including this one, where its file lies in the home, and the
    homes that were asked for it (ours first when another one sent it to us)."""

    item: SendItem
    attempts: int
    file_path: str
    homes: tuple[str, ...] = ()


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

    def __init__(self, connection: psycopg.Connection, owner: str, home: str = "") -> None:
        self.connection = connection
        self.owner = owner
        self.home = home
        self._queries = database.statements("gantry.transfers")

    def _run(self, name: str, /, **arguments: Any) -> psycopg.Cursor[Any]:
        return self.connection.execute(self._queries[name], arguments)

    def try_lock(self, node_id: int) -> bool:
        """Be the only run of this node in this home, until the connection ends."""
        row = self._run("try_lock", node_id=node_id, home=self.home).fetchone()
        return bool(row and row[0])

    def node(self, node_id: int) -> NodeRow | None:
        """The node as it is now."""
        with self.connection.cursor(row_factory=class_row(NodeRow)) as cursor:
            return cursor.execute(self._queries["node"], {"node_id": node_id}).fetchone()

    def claim(self, node_id: int, limit: int, home: Path, *, least: int = 0, values: bool = False) -> dict[int, Claimed]:
        """Take up to `limit` due rows, by delivery id: those of the highest priority, and none below `least`. With
        `values` each item knows its indexed keywords."""
        with self.connection.transaction():
            rows = self._run(
                "claim", node_id=node_id, limit=limit, move_limit=min(limit, MOVE_CHUNK), owner=self.owner,
                lease_seconds=LEASE_SECONDS, least=least, values=values, home=self.home,
            ).fetchall()  # fmt: skip
        return {row[0]: _claimed(row, home) for row in rows}

    def pass_away(self, ids: Sequence[int], homes: Sequence[str]) -> None:
        """The files of these rows are not here: the first of `homes` is to look; the others were asked."""
        self._run("pass_away", ids=list(ids), homes=" ".join(homes), owner=self.owner)

    def other_homes(self) -> list[str]:
        """Homes whose workers deliver from this database too."""
        return [str(row[0]) for row in self._run("other_homes", home=self.home)]

    def renew(self, ids: Sequence[int]) -> None:
        """Keep rows ours for another lease."""
        self._run("renew", ids=list(ids), owner=self.owner, lease_seconds=LEASE_SECONDS)

    def confirm(self, results: Sequence[SendResult], verify_seconds: float | None = None) -> set[int]:
        """Write what the peer confirmed; gives the studies. After `verify_seconds` it is looked whether it is there."""
        if not results:
            return set()
        return {
            row[0]
            for row in self._run(
                "confirm",
                verify_seconds=verify_seconds,
                # Only the home that wrote into a folder knows which place its path is.
                written_by=self.home or None,
                changed=[result.changed for result in results],
                syntaxes=[result.sent_syntax for result in results],
                ids=[result.item.key for result in results],
                dimse_statuses=[result.dimse_status for result in results],
                errors=[clean(result.explanation) for result in results],
                digests=[result.sha256 for result in results],
                started=[result.started_at for result in results],
                ended=[result.ended_at for result in results],
            )
        }

    def done(self, node_id: int, study_ids: set[int]) -> list[int]:
        """Of these studies those of which nothing is left to be sent to the node."""
        if not study_ids:
            return []
        return [row[0] for row in self._run("studies_done", node_id=node_id, study_ids=sorted(study_ids))]

    def fail(self, node_id: int, results: Sequence[SendResult], delays: Sequence[float], max_attempts: int) -> int:
        """Write what failed, and keep the attempt; what is damaged, refused for good, or was tried `max_attempts` times, is
        dead. Gives the number of the dead."""
        if not results:
            return 0
        rows = self._run(
            "fail",
            ids=[result.item.key for result in results],
            dimse_statuses=[result.dimse_status for result in results],
            errors=[clean(result.explanation) for result in results],
            digests=[result.sha256 if result.outcome is not Outcome.DAMAGED else None for result in results],
            started=[result.started_at for result in results],
            ended=[result.ended_at for result in results],
            dead=[result.permanent or result.outcome is Outcome.DAMAGED for result in results],
            delays=list(delays),
            outcomes=[result.outcome.value for result in results],
            max_attempts=max_attempts,
            owner=self.owner,
        ).fetchall()
        trim(self.connection, node_id, sorted({row[1] for row in rows}))
        return sum(bool(row[0]) for row in rows)

    def give_back(self, node_id: int, given: GivenBack) -> None:
        """Write that rows were not tried."""
        if given.ids:
            values = {"ids": given.ids, "error": clean(given.error), "delay": given.delay, "owner": self.owner}
            rows = self._run("give_back", **values).fetchall()
            if given.error:
                trim(self.connection, node_id, sorted({row[0] for row in rows}))

    def node_half_open(self, node_id: int) -> None:
        """The pause is over: one sign of life is asked for before anything is sent."""
        self._run("node_half_open", node_id=node_id)

    def note_rate(self, node_id: int, rate: float, parallel: int) -> None:
        """Bytes per second that were seen, and the associations that served best."""
        values = {"node_id": node_id, "rate": rate, "parallel": parallel}
        self.connection.execute(database.statements("gantry.nodes", "links.sql")["note_rate"], values)

    def node_succeeded(self, node_id: int) -> None:
        """The node answered."""
        self._run("node_succeeded", node_id=node_id)

    def node_failed(self, node_id: int, error: str, delay: float, *, asked: bool = False) -> None:
        """The node cannot be reached: nothing is sent to it for `delay` seconds. A C-MOVE does not wait for that. `asked`:
        it was only asked for a sign of life, with no delivery in hand whose attempt would tell of it."""
        if asked:
            silent(self.connection, node_id, clean(error))
        self._run("node_failed", node_id=node_id, error=clean(error), delay=delay)
        self._run("fail_moves", node_id=node_id, error=clean(error))

    def next_due(self, node_id: int) -> Due | None:
        """When the next row of the node may be sent; None when none is open."""
        row = self._run("next_due", node_id=node_id, home=self.home).fetchone()
        return Due(*row) if row else None


def _claimed(row: tuple[Any, ...], home: Path) -> Claimed:
    key, attempts, path, offset, size, digest, sop_class, instance, syntax, aet, message_id, priority, edits, homes, values = row
    item = SendItem(
        key, f"{home}/{path}", offset, size, bytes(digest), sop_class, instance, syntax,
        (aet, message_id) if message_id is not None else None, priority, edits or "", values,
    )  # fmt: skip
    return Claimed(item, attempts, path, tuple(homes.split()))


def clean(text: str) -> str:
    """Text of a peer as the database takes it: no NUL, bounded."""
    return text.replace("\0", "")[:_ERROR_LIMIT]
