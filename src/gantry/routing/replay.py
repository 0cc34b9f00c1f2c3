"""The rule time machine: what would have gone elsewhere, had other rules decided over the last days of the index.

Everything is read in one read-only transaction through a server-side cursor, study by study, so that memory does not
grow with the index. Times are those of arrival; study facts are those of now; what is no longer stored is not counted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg

from gantry import database
from gantry.routing.compiled import Compiled, Decider
from gantry.routing.decide import LoadedRule
from gantry.routing.load import ActiveRules
from gantry.routing.models import RuleSet
from gantry.routing.route import study_values, values_of
from gantry.routing.spec import TRIGGERS
from gantry.routing.trial import rules_for_trial

#: Studies that are shown of each kind of change.
EXAMPLES = 20
ROWS = 2000
#: Progress is told after so many studies.
_TELL = 100
QUARANTINE = "(kept back)"
Going = dict[str, int]


def _turn(rule: LoadedRule) -> tuple[Any, ...]:
    return TRIGGERS.index(rule.trigger), rule.quiet_seconds or 0, not rule.hold, not rule.edits, rule.name


@dataclass(slots=True)
class NodeChange:
    """One destination: studies and instances that would have gone there before and after; studies gained and lost."""

    node: str
    studies_before: int = 0
    studies_after: int = 0
    instances_before: int = 0
    instances_after: int = 0
    gained: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A study that would have gone elsewhere: instances by destination, with and without the change."""

    study_instance_uid: str
    before: Going
    after: Going


@dataclass(slots=True)
class ReplayResult:
    """What a replay found. `problems`: rules of either version that were left out or could not be evaluated."""

    before_version: int
    after_version: int
    since: datetime
    studies: int = 0
    instances: int = 0
    changed: int = 0
    nodes: list[NodeChange] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


class _Side:
    """One version of the rules, asked for destinations."""

    def __init__(self, active: ActiveRules, names: dict[int, str]) -> None:
        self._decider = Decider(Compiled(active.rules))
        self._names = names
        self.problems = dict(active.problems)

    def going(self, values: Any) -> set[str]:
        """To which nodes these values lead. Edits and holds count as another place: something else arrives there."""
        decisions = self._decider.decide(values)
        if any(one.rule and one.rule.quarantine for one in decisions):
            return {QUARANTINE}
        going: dict[int, str] = {}
        # The ledger takes a node once: from the rule that comes first, and of those at one moment the careful one.
        for rule in sorted((one.rule for one in decisions if one.rule), key=_turn):
            marks = [*(["edited"] if rule.edits else []), *(["held"] if rule.hold else [])]
            for node in rule.node_ids[:1] if rule.mode == "failover" else rule.node_ids:
                going.setdefault(node, self._names[node] + (f" ({', '.join(marks)})" if marks else ""))
        return set(going.values())

    def close(self) -> None:
        """Take over what the decider could not evaluate."""
        self.problems.update(self._decider.problems)


def replay(
    connection: psycopg.Connection[Any],
    before: RuleSet | None,
    after: RuleSet | None,
    days: float,
    progress: Callable[[int, int], bool] | None = None,
) -> ReplayResult:
    """Compare two versions over the studies that got something in the last `days`.

    `progress(done, all)` is called now and then; True stops it. `connection` is in no transaction.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    old, names = rules_for_trial(connection, before)
    new, _ = rules_for_trial(connection, after)
    connection.commit()
    sides = _Side(old, names), _Side(new, names)
    result = ReplayResult(old.version, new.version, since)
    by_node: dict[str, NodeChange] = {}
    queries = database.statements("gantry.routing")
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(queries["studies_since"], {"since": since}).fetchone()
        total = int(row[0]) if row else 0
        with connection.cursor(name=f"replay_{uuid.uuid4().hex}") as cursor:
            cursor.itersize = ROWS
            cursor.execute(queries["versions_since"], {"since": since})
            for study_uid, rows in groupby(cursor, key=lambda one: one[1]):
                _study(result, by_node, str(study_uid), rows, sides)
                if result.studies % _TELL == 0 and progress is not None and progress(result.studies, total):
                    result.stopped = True
                    break
    for side in sides:
        side.close()
        result.problems.update(side.problems)
    result.nodes = sorted(by_node.values(), key=lambda one: one.node)
    if progress is not None:
        progress(result.studies, total)
    return result


def _study(
    result: ReplayResult, by_node: dict[str, NodeChange], study_uid: str, rows: Iterator[Any], sides: tuple[_Side, _Side]
) -> None:
    before: Going = {}
    after: Going = {}
    for _, _, instances, series, modalities, header, *rest in rows:
        values = values_of(header, *rest, known=study_values(instances, series, modalities))
        result.instances += 1
        for side, going in zip(sides, (before, after), strict=True):
            for node in side.going(values):
                going[node] = going.get(node, 0) + 1
    result.studies += 1
    for node in before.keys() | after.keys():
        change = by_node.setdefault(node, NodeChange(node))
        change.studies_before += node in before
        change.studies_after += node in after
        change.instances_before += before.get(node, 0)
        change.instances_after += after.get(node, 0)
        change.gained += node in after and node not in before
        change.lost += node in before and node not in after
    if before != after:
        result.changed += 1
        if len(result.examples) < EXAMPLES:
            result.examples.append(Example(study_uid, before, after))
