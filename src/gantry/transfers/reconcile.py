"""After a node has confirmed a study: does it have it? By storage commitment, by instance-level queries, or by the digest of
the file in a folder; what is missing is sent again, a bounded number of times."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from gantry import database
from gantry.facts.kinds import DeliveryFailed
from gantry.facts.publish import publish
from gantry.nodes.commit import commit, reason_text
from gantry.nodes.errors import NodeError, QueryFailed
from gantry.nodes.find import find
from gantry.nodes.folder_look import holds
from gantry.nodes.folder_write import FolderTrouble
from gantry.nodes.items import AnyTarget, FolderTarget, SendTarget, WebTarget
from gantry.nodes.kinds import FOLDER
from gantry.nodes.stow_query import instances_of
from gantry.transfers.attempts import trim
from gantry.transfers.ledger import Ledger, NodeRow, clean
from gantry.transfers.order import defer_now
from gantry.transfers.owner import home_id

_log = logging.getLogger(__name__)
#: Instances in one go; how often what is missing is sent again; how long a node that gives no answer is left alone, and
#: after how long we give up asking, seconds.
CHUNK, MOST_RESENDS, POSTPONE_SECONDS, GIVE_UP_SECONDS = 500, 3, 600.0, 86400.0
_COMMIT_SECONDS, _QUERY_SECONDS = 30.0, 60.0
#: Failure reason of storage commitment: it does not have the instance (PS3.3 C.14.1.1).
_NO_SUCH_INSTANCE = 0x0112


@dataclass(slots=True)
class Reconciled:
    """Deliveries by what was found: there, missing and sent again, missing for the last time, not answered."""

    verified: int = 0
    resent: int = 0
    dead: int = 0
    unanswered: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: bytes
    values: dict[str, Any] | None


_TAKEN = "the file is gone or changed; reconcile=find would have it written again"


@dataclass(slots=True)
class _Found:
    """Delivery ids; `unknown` with the reason."""

    there: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    unknown: dict[str, list[int]] = field(default_factory=dict)


def nodes_to_reconcile(connection: psycopg.Connection) -> list[int]:
    """Nodes with confirmed deliveries that are to be looked for now."""
    return [int(row[0]) for row in connection.execute(database.statements("gantry.transfers", "healing.sql")["nodes_to_verify"])]


def reconcile(
    node_id: int, *, home: Path, our_aet: str, stopped: Callable[[], bool] = lambda: False, study_uid: str | None = None
) -> Reconciled:
    """Look for what is due at a node; with `study_uid`, for all of that study now. Never raises for what the node does."""
    result = Reconciled()
    with closing(database.connect(application="gantry-reconcile", autocommit=True)) as connection:
        node = Ledger(connection, "").node(node_id)
        while node is not None and not stopped():
            rows = _take(connection, node, study_uid, home_id(home))
            if not rows:
                break
            _write(connection, node, _look(connection, node, home, our_aet, rows), result)
    if result.resent or result.dead:
        _log.warning("node %d did not have %d instances that it had confirmed", node_id, result.resent + result.dead)
    return result


def _take(connection: psycopg.Connection, node: NodeRow, study_uid: str | None, home: str) -> list[_Row]:
    """Ours for a while: `verify_at` is the lease. What another home has written into a folder only that one looks for: a
    path need not be the same place on every host."""
    queries = database.statements("gantry.transfers", "healing.sql")
    folder = node.kind == FOLDER
    values = {
        "node_id": node.id, "limit": CHUNK, "study_uid": study_uid, "lease_seconds": POSTPONE_SECONDS,
        "home": home if folder else None, "values": folder,
    }  # fmt: skip
    return [_Row(*row) for row in connection.execute(queries["take_to_verify"], values)]


def _look(connection: psycopg.Connection, node: NodeRow, home: Path, our_aet: str, rows: list[_Row]) -> _Found:
    found = _Found()
    way = node.verified_by
    try:
        target = node.target(our_aet, home)
        if way == "commitment" and isinstance(target, SendTarget):
            _by_commitment(connection, node, target, rows, found)
        elif isinstance(target, FolderTarget) and way == "file":
            _by_file(target, rows, found, again=node.reconcile != "auto")
        elif way == "query":
            _by_query(target, rows, found)
        else:
            found.unknown[
                "we do not know how to ask the node: `gantry node probe` finds out (or its setting reconcile says off)"
            ] = [row.id for row in rows]
    except NodeError as error:
        found.unknown[str(error)] = [row.id for row in rows]
    return found


def _by_commitment(connection: psycopg.Connection, node: NodeRow, target: SendTarget, rows: list[_Row], found: _Found) -> None:
    pairs = [(row.sop_class_uid, row.sop_instance_uid) for row in rows]
    answer = commit(target, pairs, connection=connection, node_id=node.id, wait_seconds=_COMMIT_SECONDS)
    committed = set(answer.committed)
    for row in rows:
        uid = row.sop_instance_uid
        if uid in committed:
            found.there.append(row.id)
        elif answer.failed.get(uid) == _NO_SUCH_INSTANCE:
            found.missing.append(row.id)
        elif uid in answer.failed:
            found.unknown.setdefault(f"not committed: {reason_text(answer.failed[uid])}", []).append(row.id)
        else:
            found.unknown.setdefault(answer.error or "no report came", []).append(row.id)


def _by_file(target: FolderTarget, rows: Iterable[_Row], found: _Found, *, again: bool) -> None:
    """Without `again` what is gone is only told: many folders are emptied by who reads them, and would get it twice."""
    for row in rows:
        values = {**(row.values or {}), "SOPInstanceUID": row.sop_instance_uid, "SOPClassUID": row.sop_class_uid}
        try:
            there = holds(target, values, bytes(row.sha256))
        except FolderTrouble as error:
            found.unknown.setdefault(str(error), []).append(row.id)
            continue
        if there:
            found.there.append(row.id)
        elif again:
            found.missing.append(row.id)
        else:
            found.unknown.setdefault(_TAKEN, []).append(row.id)


def _by_query(target: AnyTarget, rows: Iterable[_Row], found: _Found) -> None:
    series: dict[tuple[str, str], list[_Row]] = {}
    for row in rows:
        series.setdefault((row.study_uid, row.series_uid), []).append(row)
    for (study_uid, series_uid), wanted in series.items():
        try:
            there = _instances_at(target, study_uid, series_uid)
        except QueryFailed as error:
            found.unknown.setdefault(f"{error} ({error.remedy})" if error.remedy else str(error), []).extend(
                row.id for row in wanted
            )
            continue
        for row in wanted:
            (found.there if row.sop_instance_uid in there else found.missing).append(row.id)


def _instances_at(target: AnyTarget, study_uid: str, series_uid: str) -> set[str]:
    if isinstance(target, WebTarget):
        return instances_of(target, study_uid, series_uid)
    assert isinstance(target, SendTarget)
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}

    async def ask() -> set[str]:
        answers = find(target, "IMAGE", keys, wanted=["SOPInstanceUID"], deadline=_QUERY_SECONDS)
        return {str(answer.get("SOPInstanceUID", "")) async for answer in answers}

    return asyncio.run(ask())


def _write(connection: psycopg.Connection, node: NodeRow, found: _Found, result: Reconciled) -> None:
    queries = database.statements("gantry.transfers", "healing.sql")
    with connection.transaction():
        if found.there:
            connection.execute(queries["verified"], {"ids": found.there, "by": node.verified_by})
        if found.missing:
            values = {"ids": found.missing, "most": MOST_RESENDS}
            rows = connection.execute(queries["not_there"], values).fetchall()
            trim(connection, node.id, sorted({row[1] for row in rows}))
            dead = [bool(row[0]) for row in rows]
            result.dead += sum(dead)
            result.resent += len(dead) - sum(dead)
            if any(dead):
                publish(connection, DeliveryFailed(node.id))
            defer_now(connection, [node.id])
        for reason, ids in found.unknown.items():
            values = {"ids": ids, "error": clean(reason), "seconds": POSTPONE_SECONDS, "give_up": GIVE_UP_SECONDS}
            connection.execute(queries["not_answered"], values)
            result.unanswered += len(ids)
            result.why = clean(reason)
    result.verified += len(found.there)
