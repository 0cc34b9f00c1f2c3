"""`decide` for many instances: what a series has in common is decided once.

Three things keep 200 rules cheap. Rules are sorted into kin that ask for the same attributes, and a kin decides equal values
once. Attributes that are another in each instance (Instance Number) are left open: of a rule that asks for them only that
part is asked again. And of a kin only those rules are looked at whose `Keyword=value` is met, found by the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from gantry.routing.conditions import NUMBERS, Condition, vr_of
from gantry.routing.decide import Decision, LoadedRule
from gantry.routing.evaluation import RegexTimeout, Values, holds, shown, test_of
from gantry.routing.expression import Every, Expression, Not, Some

T = TypeVar("T")
_MEMO = 5_000
_LEAF_MEMO = 2_000
#: Another one in nearly every instance of a series.
VOLATILE = frozenset({"SOPInstanceUID", "InstanceNumber", "AcquisitionNumber", "ContentDate", "ContentTime", "AcquisitionTime"})
#: Never the same again: to remember them would be in vain.
_ONCE = frozenset({"SOPInstanceUID"})
Holds: TypeAlias = Callable[[Values], bool]
#: What a rule wants, and its place in the order.
_Placed: TypeAlias = tuple[int, Decision]
#: The same with the whole rule as a function; None: volatile attributes have a say.
_Member: TypeAlias = tuple[int, LoadedRule, Holds | None]
#: A rule, and what is left of it to ask.
_Left: TypeAlias = tuple[int, LoadedRule, tuple[Holds, ...]]


@dataclass(frozen=True, slots=True)
class _Open:
    """Rules of one kin that the volatile attributes decide; what was decided for values that come again in other series."""

    keywords: tuple[str, ...]
    members: tuple[_Left, ...]
    known: dict[Any, tuple[_Placed, ...]] = field(default_factory=dict)


_Situation: TypeAlias = tuple[tuple[_Placed, ...], tuple[_Open, ...]]


class _Leaves:
    """Single conditions as functions that remember the values they have seen; the same condition of many rules is one."""

    def __init__(self) -> None:
        self._made: dict[Condition, Holds] = {}

    def __call__(self, condition: Condition) -> Holds:
        made = self._made.get(condition)
        if made is None:
            made = self._made[condition] = _remembering(condition)
        return made

    def whole(self, expression: Expression) -> Holds:
        """A whole expression."""
        if isinstance(expression, Condition):
            return self(expression)
        if isinstance(expression, Not):
            inner = self.whole(expression.part)
            return lambda values: not inner(values)
        parts = tuple(self.whole(part) for part in expression.parts)
        every = isinstance(expression, Every)

        def joined(values: Values) -> bool:
            # A loop, as a generator costs more than most conditions.
            for part in parts:
                if part(values) is not every:
                    return not every
            return every

        return joined

    def left(self, expression: Expression, values: Values) -> Expression | bool:
        """What is left to ask when all but the volatile attributes are known; whether it holds, if nothing is."""
        if isinstance(expression, Condition):
            return expression if expression.keyword in VOLATILE else self(expression)(values)
        if isinstance(expression, Not):
            part = self.left(expression.part, values)
            return not part if isinstance(part, bool) else Not(part)
        every = isinstance(expression, Every)
        rest: list[Expression] = []
        for one in expression.parts:
            part = self.left(one, values)
            if isinstance(part, bool):
                if part is not every:
                    return not every
            else:
                rest.append(part)
        if not rest:
            return every
        return rest[0] if len(rest) == 1 else (Every if every else Some)(tuple(rest))


def _remembering(condition: Condition) -> Holds:
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
    """Rules that ask for the same attributes, by their place in the order; what was decided for values already seen.

    `by_value`: those that need one of these values of an attribute, by keyword and value; `others` need none.
    """

    keywords: tuple[str, ...]
    others: tuple[_Member, ...]
    by_value: dict[str, dict[str, tuple[_Member, ...]]]
    known: dict[Any, _Situation] = field(default_factory=dict)

    def candidates(self, values: Values) -> Iterator[_Member]:
        """The rules that may match."""
        yield from self.others
        for keyword, found in self.by_value.items():
            value = values.get(keyword, "")
            if isinstance(value, list):
                yield from dict.fromkeys(member for one in value or [""] for member in found.get(shown(one), ()))
            else:
                yield from found.get(shown(value), ())


def _kin(keywords: tuple[str, ...], members: Sequence[_Member]) -> _Kin:
    needs = [_needs(Every(rule.conditions)) for _, rule, _ in members]
    variety: dict[str, set[str]] = {}
    for need in needs:
        for keyword, wanted in need.items():
            variety.setdefault(keyword, set()).update(wanted)
    others: list[_Member] = []
    by_value: dict[str, dict[str, tuple[_Member, ...]]] = {}
    for member, need in zip(members, needs, strict=True):
        if not need:
            others.append(member)
            continue
        chosen = max(need, key=lambda keyword: len(variety[keyword]) / len(need[keyword]))
        places = by_value.setdefault(chosen, {})
        for value in need[chosen]:
            places[value] = (*places.get(value, ()), member)
    return _Kin(keywords, tuple(others), by_value)


def _needs(expression: Expression) -> dict[str, frozenset[str]]:
    """By keyword the texts of which one must be there for it to hold; nothing for what cannot be told so."""
    if isinstance(expression, Condition):
        plain = expression.operator in {"equals", "in"} and vr_of(expression.keyword) not in NUMBERS | {"PN"}
        return {expression.keyword: frozenset(expression.values)} if plain and expression.keyword not in VOLATILE else {}
    if not isinstance(expression, Every):
        return {}
    found: dict[str, frozenset[str]] = {}
    for part in expression.parts:
        for keyword, wanted in _needs(part).items():
            found[keyword] = min(wanted, found.get(keyword, wanted), key=len)
    return found


def _key(keywords: tuple[str, ...], values: Values) -> Any:
    get = values.get
    return tuple([tuple(found) if type(found := get(word, "")) is list else found for word in keywords])


class Compiled:
    """Rules made ready for many instances, by any number of threads."""

    def __init__(self, rules: Sequence[LoadedRule]) -> None:
        self.rules = tuple(rules)
        self.leaves = _Leaves()
        kin: dict[tuple[str, ...], list[_Member]] = {}
        for place, rule in enumerate(self.rules):
            asked = rule.keywords
            whole = None if asked & VOLATILE else self.leaves.whole(Every(rule.conditions))
            kin.setdefault(tuple(sorted(asked - VOLATILE)), []).append((place, rule, whole))
        self.kin = tuple(_kin(keywords, members) for keywords, members in kin.items())
        self.keywords = tuple(sorted({word for rule in self.rules for word in rule.keywords} - VOLATILE))
        #: By all of what is not volatile: most instances of a series ask here only.
        self.known: dict[Any, _Situation] = {}


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
        compiled = self.compiled
        key = _key(compiled.keywords, values)
        situation = compiled.known.get(key)
        if situation is None:
            situation, sure = self._situation(values)
            if sure:
                _remember(compiled.known, key, situation)
        decided, still_open = situation
        if still_open:
            more: list[_Placed] = []
            for group in still_open:
                more += self._end(group, values)
            if more:
                return [decision for _, decision in sorted((*decided, *more), key=_place)]
        return [decision for _, decision in decided]

    def _situation(self, values: Values) -> tuple[_Situation, bool]:
        """What all that is not volatile decides, and whether every rule could be evaluated."""
        decided: list[_Placed] = []
        still_open: list[_Open] = []
        all_sure = True
        for kin in self.compiled.kin:
            key = _key(kin.keywords, values)
            found = kin.known.get(key)
            if found is None:
                found, sure = self._ask(kin, values)
                all_sure &= sure
                if sure:
                    _remember(kin.known, key, found)
            decided += found[0]
            still_open += found[1]
        return (tuple(sorted(decided, key=_place)), tuple(still_open)), all_sure

    def _ask(self, kin: _Kin, values: Values) -> tuple[_Situation, bool]:
        leaves = self.compiled.leaves
        decided: list[_Placed] = []
        still_open: list[_Left] = []
        sure = True
        for place, rule, whole in kin.candidates(values):
            if self._struck(rule):
                sure = False
                decided += _in_doubt(place, rule)
                continue
            try:
                left = leaves.left(Every(rule.conditions), values) if whole is None else whole(values)
            except RegexTimeout as error:
                sure = False
                decided += self._in_vain(place, rule, error)
                continue
            if left is True:
                decided.append((place, Decision(rule.name, rule.node_ids, rule=rule)))
            elif left is not False:
                parts = left.parts if isinstance(left, Every) else (left,)
                still_open.append((place, rule, tuple(leaves.whole(part) for part in parts)))
        if not still_open:
            return (tuple(decided), ()), sure
        words = {word for _, rule, _ in still_open for word in rule.keywords}
        return (tuple(decided), (_Open(tuple(sorted(words & VOLATILE)), tuple(still_open)),)), sure

    def _end(self, group: _Open, values: Values) -> Sequence[_Placed]:
        """Rules that the volatile attributes decide."""
        key = _key(group.keywords, values)
        found = group.known.get(key)
        if found is not None:
            return found
        decided: list[_Placed] = []
        sure = _ONCE.isdisjoint(group.keywords)
        for place, rule, tests in group.members:
            if self._strikes and self._struck(rule):
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
                decided += self._in_vain(place, rule, error)
        if sure:
            _remember(group.known, key, tuple(decided))
        return decided

    def _struck(self, rule: LoadedRule) -> bool:
        return self._strikes.get(rule.name, 0) >= self.problem_limit

    def _in_vain(self, place: int, rule: LoadedRule, error: RegexTimeout) -> list[_Placed]:
        self.problems[rule.name] = str(error)
        self._strikes[rule.name] = self._strikes.get(rule.name, 0) + 1
        return _in_doubt(place, rule)


def _remember(known: dict[Any, T], key: Any, value: T) -> None:
    if len(known) >= _MEMO:
        known.clear()
    known[key] = value


def _in_doubt(place: int, rule: LoadedRule) -> list[_Placed]:
    """A rule that could not be evaluated sends nothing. One that keeps back does: nobody knows that it should not."""
    return [(place, Decision(rule.name, rule.node_ids, rule=rule))] if rule.quarantine else []


def _place(found: _Placed) -> int:
    return found[0]
