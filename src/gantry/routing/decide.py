"""Which rules match an instance, and what they want done: a pure function of values and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.routing.conditions import Condition
from gantry.routing.evaluation import RegexTimeout, Values, holds, test_of
from gantry.routing.expression import Every, Expression, Not, Some, leaves, written

_MEMO = 10_000
_LEAF_MEMO = 2_000
Holds = Callable[[Values], bool]


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


def _fast(expression: Expression) -> Holds:
    """The same as `_evaluate`, made once: single conditions remember the values they have seen."""
    if isinstance(expression, Not):
        inner = _fast(expression.part)
        return lambda values: not inner(values)
    if isinstance(expression, Condition):
        return _fast_condition(expression)
    parts = tuple(_fast(part) for part in expression.parts)
    every = isinstance(expression, Every)

    def joined(values: Values) -> bool:
        # A loop, as a generator costs more than most conditions.
        for part in parts:
            if part(values) is not every:
                return not every
        return every

    return joined


def _fast_condition(condition: Condition) -> Holds:
    keyword, test, known = condition.keyword, test_of(condition), dict[str, bool]()

    def quick(values: Values) -> bool:
        value = values.get(keyword, "")
        if isinstance(value, list):
            return holds(condition, values)
        answer = known.get(value)
        if answer is None:
            answer = test(value)
            if len(known) >= _LEAF_MEMO:
                known.clear()
            known[value] = answer
        return answer

    return quick


@dataclass(frozen=True, slots=True)
class _Kin:
    """Rules that ask for the same attributes, by their place in the order; what was decided for values already seen."""

    keywords: tuple[str, ...]
    members: tuple[tuple[int, LoadedRule, tuple[Holds, ...]], ...]
    known: dict[Any, tuple[tuple[int, Decision], ...]] = field(default_factory=dict)

    def key(self, values: Values) -> Any:
        """Its attributes' values."""
        get = values.get
        if len(self.keywords) == 1:
            found = get(self.keywords[0], "")
            return tuple(found) if isinstance(found, list) else found
        return tuple([tuple(found) if isinstance(found := get(word, ""), list) else found for word in self.keywords])


class Compiled:
    """Rules made ready for many instances, by any number of threads.

    Instances of a series agree in nearly every attribute. So the rules are sorted into kin that ask for the same
    attributes, and each kin decides equal values once: a rule that asks for Instance Number, which is always another,
    costs nothing to the others. A study of thousands costs a few evaluations.
    """

    def __init__(self, rules: Sequence[LoadedRule]) -> None:
        self.rules = tuple(rules)
        kin: dict[tuple[str, ...], list[tuple[int, LoadedRule, tuple[Holds, ...]]]] = {}
        for place, rule in enumerate(self.rules):
            tests = tuple(_fast(condition) for condition in rule.conditions)
            kin.setdefault(tuple(sorted(rule.keywords)), []).append((place, rule, tests))
        self.kin = tuple(_Kin(keywords, tuple(members)) for keywords, members in kin.items())


class Decider:
    """`decide` for the instances of one piece of work; a rule that keeps timing out is dropped for the rest of it."""

    def __init__(self, rules: Sequence[LoadedRule] | Compiled, problem_limit: int = 3) -> None:
        self.compiled = rules if isinstance(rules, Compiled) else Compiled(rules)
        self.problem_limit = problem_limit
        self.problems: dict[str, str] = {}
        self._strikes: dict[str, int] = {}

    @property
    def rules(self) -> tuple[LoadedRule, ...]:
        """All of them."""
        return self.compiled.rules

    def decide(self, values: Values) -> list[Decision]:
        """The decisions for one instance that want something done; problems are gathered in `problems`."""
        found: list[tuple[int, Decision]] = []
        for kin in self.compiled.kin:
            key = kin.key(values)
            decided = kin.known.get(key)
            if decided is None:
                decided, sure = self._ask(kin, values)
                if sure:
                    if len(kin.known) >= _MEMO:
                        kin.known.clear()
                    kin.known[key] = decided
            found += decided
        if len(found) > 1:
            found.sort(key=_place)
        return [decision for _, decision in found]

    def _ask(self, kin: _Kin, values: Values) -> tuple[tuple[tuple[int, Decision], ...], bool]:
        """The decisions of some rules, and whether all of them could be evaluated."""
        decided: list[tuple[int, Decision]] = []
        sure = True
        for place, rule, tests in kin.members:
            if self._strikes and self._strikes.get(rule.name, 0) >= self.problem_limit:
                sure = False
                decided += _in_doubt(place, rule)
                continue
            try:
                for test in tests:
                    if not test(values):
                        break
                else:
                    decided.append((place, Decision(rule.name, rule.node_ids, rule=rule)))
            except RegexTimeout as error:
                sure = False
                decided += _in_doubt(place, rule)
                self.problems[rule.name] = str(error)
                self._strikes[rule.name] = self._strikes.get(rule.name, 0) + 1
        return tuple(decided), sure


def _in_doubt(place: int, rule: LoadedRule) -> list[tuple[int, Decision]]:
    """A rule that could not be evaluated sends nothing. One that keeps back does: nobody knows that it should not."""
    return [(place, Decision(rule.name, rule.node_ids, rule=rule))] if rule.quarantine else []


def _place(found: tuple[int, Decision]) -> int:
    return found[0]
