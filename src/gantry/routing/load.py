"""The active rules ready to decide, kept by each process and made anew when another version is activated."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from gantry import database
from gantry.routing.compiled import Compiled
from gantry.routing.decide import LoadedRule
from gantry.routing.errors import RoutingError
from gantry.routing.spec import TRIGGERS, RuleSpec, from_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActiveRules:
    """A version of the rules with the nodes resolved. `problems`: rules that were left out, and why."""

    version: int
    rules: tuple[LoadedRule, ...]
    problems: Mapping[str, str]
    _parts: dict[Any, Compiled] = field(default_factory=dict, compare=False, repr=False)

    def compiled(self, trigger: str, quiet_seconds: float | None = None) -> Compiled:
        """The rules that wait for this; for `settled` those with this quiet time of their own, or with none.

        Rules that keep back at an earlier moment are asked again: their job may still wait in the queue.
        """
        key = (trigger, quiet_seconds)
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = Compiled(
                [
                    rule
                    for rule in self.rules
                    if (rule.trigger == trigger and rule.quiet_seconds == quiet_seconds)
                    or (rule.quarantine and TRIGGERS.index(rule.trigger) < TRIGGERS.index(trigger))
                ]
            )
        return found

    def in_order(self, node_id: int) -> Compiled:
        """The rules that send to another node after this one."""
        key = ("order", node_id)
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = Compiled(
                [rule for rule in self.rules if rule.mode == "order" and node_id in rule.node_ids[:-1]]
            )
        return found

    @property
    def quiet_times(self) -> frozenset[float]:
        """The quiet times of rules that have their own, seconds."""
        return frozenset(rule.quiet_seconds for rule in self.rules if rule.quiet_seconds is not None)

    @property
    def waits_for_association(self) -> bool:
        """Whether any rule does."""
        return any(rule.trigger == "association" for rule in self.rules)


def resolve(rules: Sequence[RuleSpec | RoutingError], version: int, nodes: Mapping[str, int]) -> ActiveRules:
    """Names to nodes, text to trees. What cannot be understood or leads nowhere is left out, with the reason.

    A rule that cannot be understood must send nothing: patient data would go to the wrong place.
    """
    loaded: list[LoadedRule] = []
    problems: dict[str, str] = {}
    for rule in rules:
        if isinstance(rule, RoutingError):
            problems["(unreadable)"] = str(rule)
            continue
        if not rule.enabled:
            continue
        there = [nodes[name] for name in rule.destinations if name in nodes]
        missing = [name for name in rule.destinations if name not in nodes]
        if missing:
            problems[rule.name] = f"there is no node {', '.join(missing[:5])}"
        if not there and not rule.quarantine:
            problems.setdefault(rule.name, "it has no destination")
            continue
        if missing and rule.mode == "order":
            continue  # nobody knows what should come after the one that is gone
        try:
            expressions = rule.expressions
        except RoutingError as error:
            problems[rule.name] = str(error)
            continue
        loaded.append(
            LoadedRule(
                rule.name, expressions, tuple(there), rule.trigger, rule.quiet_seconds, rule.mode, rule.priority, rule.hold,
                tuple(rule.edits), rule.quarantine,
            )
        )  # fmt: skip
    return ActiveRules(version, tuple(loaded), problems)


_cache: dict[tuple[Any, ...], ActiveRules] = {}
_lock = threading.Lock()


def active_rules(connection: psycopg.Connection[Any]) -> ActiveRules:
    """The rules that decide now: one small query; what was read and compiled before is used again while it is true."""
    statements = database.statements("gantry.routing", "route.sql")
    row = connection.execute(statements["head"]).fetchone()
    assert row is not None
    set_id, version, names, ids = row
    if set_id is None:
        return ActiveRules(0, (), {})
    key = (connection.info.dsn, connection.info.dbname, set_id, version, tuple(names or ()), tuple(ids or ()))
    with _lock:
        found = _cache.get(key)
    if found is None:
        stored = connection.execute(statements["rules_of_set"], {"id": set_id}).fetchone()
        found = resolve(read_stored(parsed(stored[0]) if stored else []), version, dict(zip(names or (), ids or (), strict=True)))
        for name, problem in found.problems.items():
            _log.error("rule %s is left out: %s", name, problem)
        with _lock:
            _cache.clear()
            _cache[key] = found
    return found


def parsed(value: Any) -> Any:
    """jsonb as Python values; Django's own connection gives it as text."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def read_stored(rules: Sequence[Mapping[str, Any]]) -> list[RuleSpec | RoutingError]:
    """Stored rules; in place of one that cannot be read its error."""
    found: list[RuleSpec | RoutingError] = []
    for data in rules:
        try:
            found.append(from_json(data))
        except RoutingError as error:
            found.append(error)
    return found
