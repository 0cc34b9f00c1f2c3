"""Route: what happened with a study, in order. It is here because all rooms have a part in it.

Received (from whom, how many), decisions of rules, deliveries by destination and state, legal holds, and from the
audit who did what: for those who may see the audit everything, for others what changed the study.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from django.http import HttpRequest
from ninja import Path, Router, Schema
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads
from pydantic import Field

from gantry.accounts import connection, see
from gantry.accounts.allowed import Actor, allowed
from gantry.accounts.errors import NotFound
from gantry.accounts.page import Page, Uid
from gantry.accounts.route import actor_of, may

router = Router(tags=["catalogue"])

#: Of each kind of happening so many, the latest.
LIMIT = 200


class Happening(Schema):
    """One thing that happened with a study."""

    at: datetime = Field(description="When it began")
    until: datetime | None = Field(default=None, description="When the last of it happened")
    kind: str = Field(description="received, decided, delivery, held, conflict, settled or act", examples=["received"])
    what: str = Field(
        description="received: the AE title or origin; decided: the rule; delivery: the node; act: the act in the audit",
        examples=["CT1"],
    )  # fmt: skip
    who: str = Field(default="", description="Who did it, where a person did")
    state: str = Field(default="", description="Of a delivery: its status", examples=["confirmed"])
    instances: int | None = Field(default=None, examples=[120])
    details: dict[str, Any] = {}


class HistoryOut(Page[Happening]):
    """What happened with a study, the latest first."""


_RECEIVED: LiteralString = """
SELECT min(v.received_at) AS at, max(v.received_at) AS until, 'received' AS kind,
       coalesce(nullif(v.calling_aet, ''), v.origin) AS what, count(*)::int AS instances,
       jsonb_build_object('called_aet', v.called_aet, 'address', v.remote_address, 'origin', v.origin,
                          'bytes', sum(v.dataset_bytes)) AS details
FROM catalogue_version v JOIN catalogue_instance i ON i.id = v.instance_id JOIN catalogue_series e ON e.id = i.series_id
WHERE e.study_id = %(study)s
GROUP BY v.association_id, v.calling_aet, v.called_aet, v.remote_address, v.origin ORDER BY 2 DESC LIMIT %(limit)s"""
_DECIDED: LiteralString = """
SELECT first_at AS at, last_at AS until, 'decided' AS kind, rule_name AS what, deliveries AS instances,
       jsonb_build_object('version', version, 'trigger', trigger, 'conditions', conditions, 'held', held) AS details
FROM routing_decision WHERE study_id = %(study)s ORDER BY last_at DESC LIMIT %(limit)s"""
_DELIVERED: LiteralString = """
SELECT min(d.created_at) AS at, max(coalesce(d.confirmed_at, d.sent_at, d.updated_at)) AS until, 'delivery' AS kind,
       n.name AS what, d.status AS state, count(*)::int AS instances,
       jsonb_build_object('rule', d.rule_name, 'error', max(d.error), 'origin', d.origin, 'changed', max(d.changed),
                          'verified', count(d.verified_at)) AS details
FROM transfers_delivery d JOIN nodes_node n ON n.id = d.node_id
WHERE d.study_id = %(study)s AND (%(nodes)s::text[] IS NULL OR n.name = ANY(%(nodes)s::text[]))
GROUP BY n.name, d.status, d.rule_name, d.origin ORDER BY 2 DESC LIMIT %(limit)s"""
_KEPT_BACK: LiteralString = """
SELECT min(held_at) AS at, max(coalesce(ended_at, held_at)) AS until, 'held' AS kind, rule_name AS what, state,
       max(ended_by) AS who, count(*)::int AS instances, jsonb_build_object('reason', max(reason)) AS details
FROM routing_heldinstance WHERE study_id = %(study)s GROUP BY rule_name, state LIMIT %(limit)s"""
_CONFLICTS: LiteralString = """
SELECT first_seen_at AS at, last_seen_at AS until, 'conflict' AS kind, c.kind AS what, seen_count AS instances,
       jsonb_build_object('conflict', c.id) AS details
FROM catalogue_conflict c WHERE study_id = %(study)s ORDER BY 2 DESC LIMIT %(limit)s"""
_SETTLED: LiteralString = """
SELECT settled_at AS at, 'settled' AS kind, '' AS what FROM catalogue_study WHERE id = %(study)s AND settled_at IS NOT NULL"""
#: The values of an entry may quote the patient, so only names that are known to be harmless are taken from them.
_ACTS: LiteralString = """
SELECT at, 'act' AS kind, act AS what, who, jsonb_strip_nulls(jsonb_build_object(
       'reason', nullif(reason, ''), 'via', via, 'node', after -> 'node', 'nodes', after -> 'nodes',
       'label', after -> 'label', 'deliveries', after -> 'deliveries')) AS details
FROM audit_entry
WHERE study_uid = %(uid)s AND (%(all)s OR act NOT IN ('study.view', 'instance.view', 'instance.download', 'study.download'))
ORDER BY id DESC LIMIT %(limit)s"""


def _statements(actor: Actor) -> list[LiteralString]:
    """The parts of the history that this actor may see."""
    found = [_RECEIVED, _SETTLED]
    if allowed(actor, "deliveries.view"):
        found += [_DECIDED, _DELIVERED, _KEPT_BACK]
    if allowed(actor, "conflicts.view"):
        found.append(_CONFLICTS)
    # Who did what is for those who may read the audit, and without views for those who look after deliveries.
    if allowed(actor, "audit.view") or allowed(actor, "deliveries.hold"):
        found.append(_ACTS)
    return found


def history(raw: psycopg.Connection[Any], study_id: int, uid: str, actor: Actor) -> list[dict[str, Any]]:
    """What happened with a study, the latest first, as much as the actor may see."""
    nodes = sorted(actor.nodes) if actor.nodes is not None else None
    values = {"study": study_id, "uid": uid, "limit": LIMIT, "all": bool(allowed(actor, "audit.view")), "nodes": nodes}
    rows: list[dict[str, Any]] = []
    with psycopg.Cursor(raw, row_factory=dict_row) as cursor:
        set_json_loads(json.loads, cursor)  # Django's own connection reads jsonb as text
        for statement in _statements(actor):
            rows.extend(cursor.execute(statement, values, prepare=False).fetchall())
    return _in_order(rows)


def _in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row.get("until") or row["at"], reverse=True)


@router.get("/studies/{uid}/history", auth=may("studies.view"), response=HistoryOut, summary="What happened with a study")
def get_study_history(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """Received from whom and when, decisions of rules, deliveries, holds, conflicts and acts of people; the latest first."""
    actor = actor_of(request)
    see.study(actor, "studies.view", uid)
    raw = connection.of_request()
    row = raw.execute("SELECT id FROM catalogue_study WHERE study_instance_uid = %s", [uid]).fetchone()
    if row is None:
        raise NotFound("There is no such study.")
    return {"items": history(raw, row[0], uid, actor), "next": None}
