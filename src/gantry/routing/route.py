"""Apply the rules to what has arrived or settled, write down why, and order the deliveries."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg

from gantry import config, database, facts
from gantry.routing.compiled import Compiled, Decider
from gantry.routing.decide import LoadedRule, held_conditions
from gantry.routing.evaluation import Values, moment_values
from gantry.routing.load import ActiveRules, active_rules, parsed
from gantry.transfers.order import Order, order_all

_log = logging.getLogger(__name__)
#: Versions that are read and ordered in one transaction.
CHUNK = 500
_TELL_SECONDS = 10.0


@dataclass(slots=True)
class RouteOutcome:
    """What one routing did: instances looked at, deliveries newly ordered, instances kept back, rules that failed."""

    instances: int = 0
    ordered: int = 0
    held: int = 0
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """What one rule wants for instances of one study."""

    rule: LoadedRule
    study_id: int
    sample: Values
    version_ids: list[int] = field(default_factory=list)


def route_batch(connection: psycopg.Connection, batch_id: UUID, active: ActiveRules | None = None) -> RouteOutcome:
    """Decide the `arrived` rules for every version of a batch. Ordering again orders nothing twice."""
    if active is None:
        with reading(connection):
            active = active_rules(connection)
    work = _Work(connection, active, active.compiled("arrived"))
    return work.run("versions_of_batch", {"batch_id": batch_id})


def route_study(
    connection: psycopg.Connection, study_id: int, trigger: str = "settled", quiet_seconds: float | None = None
) -> RouteOutcome:
    """Decide the rules that wait for this for the current versions of a study. Again: orders what is missing."""
    with reading(connection):
        active = active_rules(connection)
    work = _Work(connection, active, active.compiled(trigger, quiet_seconds))
    return work.run("versions_of_study", {"study_id": study_id}, study_id)


def route_next(connection: psycopg.Connection, study_id: int, node_id: int) -> RouteOutcome:
    """A node has what it should get of a study: rules that go `in order` send to the node after it."""
    with reading(connection):
        active = active_rules(connection)
        candidates = active.in_order(node_id)
        if not candidates.rules:
            return RouteOutcome()
        rows = connection.execute(_sql("decided_rules"), {"study_id": study_id}).fetchall()
    names = {row[0] for row in rows}
    wanted = Compiled([rule for rule in candidates.rules if rule.name in names])
    work = _Work(connection, active, wanted, only_next=True)
    return work.run("versions_of_study", {"study_id": study_id}, study_id)


def route_released(connection: psycopg.Connection, version_ids: Collection[int], study_id: int) -> RouteOutcome:
    """A person let instances of a study go: all rules decide again, without those that keep back."""
    total = RouteOutcome()
    with reading(connection):
        active = active_rules(connection)
    for trigger, quiet in {(rule.trigger, rule.quiet_seconds) for rule in active.rules}:
        work = _Work(connection, active, active.compiled(trigger, quiet))
        done = work.run("versions_by_id", {"version_ids": list(version_ids)}, study_id if trigger != "arrived" else None)
        total.instances, total.ordered = max(total.instances, done.instances), total.ordered + done.ordered
        total.problems.update(done.problems)
    return total


def _sql(name: str) -> Any:
    return database.statements("gantry.routing", "route.sql")[name]


def reading(connection: psycopg.Connection[Any]) -> AbstractContextManager[Any]:
    """For single statements that read: no transaction stays open behind them, and in autocommit none is begun."""
    return nullcontext() if connection.autocommit else connection.transaction()


class _Work:
    """One routing: reads in portions, decides, and writes each portion in one transaction."""

    def __init__(self, connection: psycopg.Connection, active: ActiveRules, rules: Compiled, *, only_next: bool = False) -> None:
        self._connection = connection
        self._active = active
        self._only_next = only_next
        self._decider = Decider(rules)
        self._outcome = RouteOutcome()

    def run(self, statement: str, scope: dict[str, Any], study_id: int | None = None) -> RouteOutcome:
        """All versions that the statement gives."""
        if self._decider.rules:
            known = self._study(study_id) if study_id is not None else {}
            for rows in _chunks(self._connection, statement, scope):
                self._portion(rows, known)
        self._outcome.problems = {**self._decider.problems}
        self._note_problems()
        return self._outcome

    def _study(self, study_id: int) -> dict[str, str | list[str]]:
        with reading(self._connection):
            row = self._connection.execute(_sql("study_facts"), {"study_id": study_id}).fetchone()
        return study_values(*row) if row else {}

    def _portion(self, rows: list[tuple[Any, ...]], known: Mapping[str, str | list[str]]) -> None:
        groups: dict[tuple[str, int], _Group] = {}
        for version_id, study, kept_back, *parts in rows:
            self._outcome.instances += 1
            if kept_back in {"held", "dismissed"}:
                continue
            values = values_of(*parts, known=known)
            decisions = self._decider.decide(values)
            if kept_back != "released" and any(one.rule and one.rule.quarantine for one in decisions):
                # Kept back: whatever else matches, it goes nowhere.
                decisions = [one for one in decisions if one.rule and one.rule.quarantine][:1]
            for decision in decisions:
                rule = decision.rule
                assert rule is not None
                if rule.quarantine and kept_back == "released":
                    continue
                group = groups.setdefault((rule.name, study), _Group(rule, study, values))
                group.version_ids.append(version_id)
        if groups:
            # The careful ones first: where two rules mean the same node, the first one counts. Else by name, so that
            # two workers lock rows in the same order.
            turn = sorted(groups.values(), key=lambda g: (not g.rule.hold, not g.rule.edits, g.rule.name, g.study_id))
            with self._connection.transaction():
                self._carry_out(turn)

    def _carry_out(self, groups: list[_Group]) -> None:
        planned = [(group, orders) for group in groups if (orders := self._orders(group)) or not self._only_next]
        if not planned:
            return
        decisions = self._decisions([group for group, _ in planned])
        wanted = [
            Order(
                version_ids=version_ids, node_ids=node_ids, rule_name=group.rule.name, priority=group.rule.priority,
                held=group.rule.hold, decision_id=decisions[group.rule.name, group.study_id],
                failover=group.rule.node_ids[1:] if group.rule.mode == "failover" else (), edits=list(group.rule.edits) or None,
            )
            for group, orders in planned for node_ids, version_ids in orders
        ]  # fmt: skip
        ordered = order_all(self._connection, wanted)
        held: Counter[int | None] = Counter()
        for group, _ in planned:
            if group.rule.quarantine:
                decision_id = decisions[group.rule.name, group.study_id]
                held[decision_id] += self._hold_back(group, decision_id)
        self._outcome.ordered += ordered.total()
        self._outcome.held += held.total()
        if ids := list(ordered | held):
            values = {"ids": ids, "deliveries": [ordered[key] for key in ids], "held": [held[key] for key in ids]}
            self._connection.execute(_sql("count_decisions"), values)

    def _orders(self, group: _Group) -> list[tuple[tuple[int, ...], list[int]]]:
        """Which instances go to which nodes now."""
        rule = group.rule
        if rule.mode == "order":
            return self._in_order(group)
        nodes = rule.node_ids[:1] if rule.mode == "failover" else rule.node_ids
        return [(nodes, group.version_ids)] if nodes else []

    def _in_order(self, group: _Group) -> list[tuple[tuple[int, ...], list[int]]]:
        """Each node gets what all nodes before it have confirmed; the first gets all."""
        nodes = group.rule.node_ids
        scope = {"version_ids": group.version_ids, "node_ids": list(nodes)}
        there = set(self._connection.execute(_sql("confirmed_among"), scope).fetchall())
        due = list(group.version_ids)
        orders = [] if self._only_next else [(nodes[:1], due)]
        for before, node in pairwise(nodes):
            due = [version for version in due if (version, before) in there]
            if not due:
                break
            orders.append(((node,), due))
        return orders

    def _decisions(self, groups: list[_Group]) -> dict[tuple[str, int], int]:
        """Write down why; gives the row of each rule and study."""
        values: dict[str, Any] = {
            "version": self._active.version,
            "studies": [group.study_id for group in groups],
            "names": [group.rule.name for group in groups],
            "triggers": [group.rule.trigger for group in groups],
            "conditions": [json.dumps(held_conditions(group.rule, group.sample)) for group in groups],
            "actions": [json.dumps(_action(group.rule)) for group in groups],
        }
        rows = self._connection.execute(_sql("decide"), values).fetchall()
        return {(name, study_id): int(key) for key, name, study_id in rows}

    def _hold_back(self, group: _Group, decision_id: int) -> int:
        values = {
            "version_ids": sorted(group.version_ids), "study_id": group.study_id, "decision_id": decision_id,
            "rule_name": group.rule.name, "reason": group.rule.quarantine,
        }  # fmt: skip
        return len(self._connection.execute(_sql("hold_back"), values).fetchall())

    def _note_problems(self) -> None:
        """Counted, shown with the rules, and announced once a minute: somebody must hear that a rule sends nothing."""
        problems = {**(self._active.problems if self._outcome.instances else {}), **self._outcome.problems}
        if not problems or (not self._outcome.problems and not _time_to_tell(self._active.version)):
            return
        for name, problem in self._outcome.problems.items():
            _log.warning("rule %s did not match because it could not be evaluated: %s", name, problem)
        names = sorted(problems)
        version = self._active.version
        values = {"version": version, "names": names, "messages": [problems[name] for name in names]}
        with self._connection.transaction():
            recent = self._connection.execute(_sql("recent_failure"), {"version": version}).fetchone()
            self._connection.execute(_sql("note_problems"), values)
            if recent is not None and not recent[0]:
                facts.publish(self._connection, facts.RuleFailed(version, len(names)))


_told: dict[int, float] = {}


def _time_to_tell(version: int) -> bool:
    """A rule that leads nowhere does so for every batch: once in a while is enough."""
    now = time.monotonic()
    if now - _told.get(version, -_TELL_SECONDS) < _TELL_SECONDS:
        return False
    _told.clear()
    _told[version] = now
    return True


def _action(rule: LoadedRule) -> dict[str, Any]:
    return {
        "mode": rule.mode, "nodes": list(rule.node_ids), "priority": rule.priority, "hold": rule.hold,
        "edits": len(rule.edits), "quarantine": rule.quarantine,
    }  # fmt: skip


def values_of(
    header: Mapping[str, Any], calling: str, called: str, remote: str, origin: str, received_at: Any,
    *, known: Mapping[str, str | list[str]],
) -> dict[str, str | list[str]]:  # fmt: skip
    """What rules ask of an instance: its header, how and when it came, and what is known of its study."""
    return {
        **parsed(header), **known, "CallingAET": calling, "CalledAET": called, "RemoteAddress": remote, "Origin": origin,
        **moment_values(received_at, config.current().time_zone),
    }  # fmt: skip


def study_values(instances: int, series: int, modalities: list[str]) -> dict[str, str | list[str]]:
    """Study facts as rules ask for them (PS3.4 table C.3-2)."""
    return {
        "NumberOfStudyRelatedInstances": str(instances),
        "NumberOfStudyRelatedSeries": str(series),
        "ModalitiesInStudy": list(modalities),
    }


def _chunks(connection: psycopg.Connection, statement: str, scope: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    after = 0
    while True:
        with reading(connection):
            rows = connection.execute(_sql(statement), {**scope, "after": after, "limit": CHUNK}).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield rows
        if len(rows) < CHUNK:
            return
