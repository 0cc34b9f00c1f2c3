"""Which rules match an instance, and where it goes: a pure function of values and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gantry.routing.conditions import Condition
from gantry.routing.evaluation import RegexTimeout, Values, holds


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule ready to decide: all conditions must hold; none means everything."""

    name: str
    conditions: tuple[Condition, ...]
    node_ids: tuple[int, ...]

    @property
    def keywords(self) -> frozenset[str]:
        """The attributes its decision depends on."""
        return frozenset(condition.keyword for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule that matched and its destinations; or, with a `problem`, one that could not be evaluated: it orders nothing."""

    rule_name: str
    node_ids: tuple[int, ...]
    problem: str = ""


def decide(values: Values, rules: Sequence[LoadedRule]) -> list[Decision]:
    """The decisions of all rules for one instance, in the order of the rules."""
    decisions = []
    for rule in rules:
        try:
            if all(holds(condition, values) for condition in rule.conditions):
                decisions.append(Decision(rule.name, rule.node_ids))
        except RegexTimeout as error:
            decisions.append(Decision(rule.name, (), str(error)))
    return decisions


@dataclass(slots=True)
class Decider:
    """`decide` for many instances: the same values are decided once, and a rule that keeps timing out is dropped.

    Instances of a series agree in nearly every attribute, so a study of thousands costs a few evaluations.
    """

    rules: Sequence[LoadedRule]
    problem_limit: int = 3
    problems: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[object, ...], list[Decision]] = field(default_factory=dict)
    _strikes: dict[str, int] = field(default_factory=dict)

    def decide(self, values: Values) -> list[Decision]:
        """The decisions for one instance that order something; problems are gathered in `problems`."""
        keywords = sorted(frozenset[str]().union(*(rule.keywords for rule in self.rules)))
        key = tuple(tuple(found) if isinstance(found := values.get(word, ""), list) else found for word in keywords)
        decisions = self._known.get(key)
        if decisions is None:
            decisions = self._decide(values)
            if len(self._known) >= 10_000:
                self._known.clear()
            self._known[key] = decisions
        return decisions

    def _decide(self, values: Values) -> list[Decision]:
        active = [rule for rule in self.rules if self._strikes.get(rule.name, 0) < self.problem_limit]
        decisions = decide(values, active)
        for decision in decisions:
            if decision.problem:
                self.problems[decision.rule_name] = decision.problem
                self._strikes[decision.rule_name] = self._strikes.get(decision.rule_name, 0) + 1
        return [decision for decision in decisions if not decision.problem]
