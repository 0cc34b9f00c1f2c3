"""Apply the rules to what has arrived or settled, and order the deliveries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from gantry import database
from gantry.routing.conditions import from_json
from gantry.routing.decide import Decider, LoadedRule
from gantry.routing.errors import BadCondition
from gantry.transfers.order import order

_log = logging.getLogger(__name__)
#: Versions that are read and ordered in one transaction.
CHUNK = 500


@dataclass(slots=True)
class RouteOutcome:
    """What one routing did: instances looked at, deliveries newly ordered, rules that could not be evaluated."""

    instances: int = 0
    ordered: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def route_batch(connection: psycopg.Connection, batch_id: UUID) -> RouteOutcome:
    """Decide the `arrived` rules for every version of a batch. Ordering again orders nothing twice."""
    return _route(connection, "arrived", "versions_of_batch", {"batch_id": batch_id})


def route_study(connection: psycopg.Connection, study_id: int) -> RouteOutcome:
    """Decide the `settled` rules for the current versions of a study. Ordering again orders what is missing."""
    return _route(connection, "settled", "versions_of_study", {"study_id": study_id})


def load_rules(connection: psycopg.Connection, trigger: str) -> list[LoadedRule]:
    """The enabled rules of a trigger. A rule whose conditions cannot be read is reported and left out."""
    statement = database.statements("gantry.routing")["load_rules"]
    rules = []
    for name, conditions, node_ids in connection.execute(statement, {"trigger": trigger}):
        try:
            rules.append(LoadedRule(name, tuple(from_json(data) for data in conditions), tuple(node_ids)))
        except BadCondition as error:
            # A rule that cannot be understood must send nothing: patient data would go to the wrong place.
            _log.error("rule %s is left out: %s", name, error)
    return rules


def _route(connection: psycopg.Connection, trigger: str, statement: str, scope: dict[str, Any]) -> RouteOutcome:
    outcome = RouteOutcome()
    with connection.transaction():
        decider = Decider(load_rules(connection, trigger))
    if not decider.rules:
        return outcome
    for rows in _chunks(connection, statement, scope):
        wanted: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for version_id, values in rows:
            outcome.instances += 1
            for decision in decider.decide(values):
                wanted.setdefault((decision.rule_name, decision.node_ids), []).append(version_id)
        with connection.transaction():
            for (rule_name, node_ids), version_ids in wanted.items():
                outcome.ordered += order(connection, version_ids, node_ids, rule_name)
    outcome.problems = decider.problems
    for name, problem in outcome.problems.items():
        _log.warning("rule %s did not match because it could not be evaluated: %s", name, problem)
    return outcome


def _chunks(
    connection: psycopg.Connection, statement: str, scope: dict[str, Any]
) -> Iterator[list[tuple[int, dict[str, str | list[str]]]]]:
    sql = database.statements("gantry.routing")[statement]
    after = 0
    while True:
        with connection.transaction():
            rows = connection.execute(sql, {**scope, "after": after, "limit": CHUNK}).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [
            (
                version_id,
                {
                    **header,
                    "CallingAET": calling,
                    "CalledAET": called,
                    "RemoteAddress": remote,
                    "Origin": origin,
                },
            )
            for version_id, header, calling, called, remote, origin in rows
        ]
        if len(rows) < CHUNK:
            return
