"""Which rules match an instance, and what they want done: a pure function of values and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.routing.conditions import Condition
from gantry.routing.evaluation import RegexTimeout, Values, holds
from gantry.routing.expression import Every, Expression, Not, Some, leaves, written


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule ready to decide: all conditions must hold; none means everything. What it wants stands in `actions.Actions`.

    `mode` is how several nodes are meant (all, order, failover); `quarantine` is the reason for keeping it back.
    """

    name: str
    conditions: tuple[Expression, ...]
    node_ids: tuple[int, ...]
    trigger: str = "arrived"
    quiet_seconds: float | None = None
    mode: str = "all"
    priority: int = 0
    hold: bool = False
    edits: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    quarantine: str = ""
    problem: str = ""

    @property
    def keywords(self) -> frozenset[str]:
        """The attributes its decision depends on."""
        return frozenset(leaf.keyword for condition in self.conditions for leaf in leaves(condition))


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule that matched and its destinations; or, with a `problem`, one that could not be evaluated: it orders nothing."""

    rule_name: str
    node_ids: tuple[int, ...]
    problem: str = ""
    rule: LoadedRule | None = field(default=None, compare=False, repr=False)


def decide(values: Values, rules: Sequence[LoadedRule]) -> list[Decision]:
    """The decisions of all rules for one instance, in the order of the rules."""
    decisions = []
    for rule in rules:
        try:
            if all(_evaluate(condition, values) for condition in rule.conditions):
                decisions.append(Decision(rule.name, rule.node_ids, rule=rule))
        except RegexTimeout as error:
            decisions.append(Decision(rule.name, (), str(error), rule))
    return decisions


def _evaluate(expression: Expression, values: Values) -> bool:
    if isinstance(expression, Condition):
        return holds(expression, values)
    if isinstance(expression, Not):
        return not _evaluate(expression.part, values)
    if isinstance(expression, Every):
        return all(_evaluate(part, values) for part in expression.parts)
    return any(_evaluate(part, values) for part in expression.parts)


@dataclass(frozen=True, slots=True)
class Explained:
    """One condition of a rule: whether it held, and the value that was seen (patient data). `problem`: it took too long."""

    condition: str
    held: bool
    seen: str
    problem: str = ""


def explain(rule: LoadedRule, values: Values) -> tuple[bool, list[Explained]]:
    """Whether a rule matches, and each of its conditions with the value seen; every one is looked at."""
    found: list[Explained] = []
    problem = False
    for condition in (leaf for each in rule.conditions for leaf in leaves(each)):
        seen = values.get(condition.keyword, "")
        text = "\\".join(str(value) for value in seen) if isinstance(seen, list) else str(seen)
        try:
            found.append(Explained(written(condition), holds(condition, values), text[:200]))
        except RegexTimeout as error:
            problem = True
            found.append(Explained(written(condition), False, text[:200], str(error)))
    decisions = [] if problem else decide(values, [rule])
    return bool(decisions and not decisions[0].problem), found


def held_conditions(rule: LoadedRule, values: Values) -> list[str]:
    """The conditions that made a rule match, as written; never a value of the instance."""
    try:
        return [text for condition in rule.conditions for text in _reasons(condition, values)]
    except RegexTimeout:  # it was in time a moment ago, on a machine less busy
        return [written(condition) for condition in rule.conditions]


def _reasons(expression: Expression, values: Values) -> Iterator[str]:
    if isinstance(expression, Every):
        for part in expression.parts:
            yield from _reasons(part, values)
    elif isinstance(expression, Some):
        yield from _reasons(next(part for part in expression.parts if _evaluate(part, values)), values)
    else:
        yield written(expression)
