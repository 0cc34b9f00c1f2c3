"""A rule as people write it and versions keep it: names of nodes, conditions, what shall be done. Checked here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, cast, get_args

from gantry.dataset.edit import BadEdit, parse_edits
from gantry.routing.conditions import STUDY_KEYWORDS
from gantry.routing.errors import BadCondition, BadRule, RuleExists
from gantry.routing.expression import Expression, leaves, parse_expression, read_all, written

Trigger = Literal["arrived", "association", "settled"]
Mode = Literal["all", "order", "failover"]
TRIGGERS: tuple[str, ...] = get_args(Trigger)
MODES: tuple[str, ...] = get_args(Mode)
#: As in transfers.order.
URGENT, HIGHEST = 100, 1000
MAX_RULES = 2000
MAX_NODES = 100
MAX_QUIET = 7 * 86_400.0
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule. All `conditions` (stored form) must hold; none means everything.

    `trigger` is what it waits for: `arrived` each batch, `association` the end of those that bring the study, `settled`
    the quiet time (`quiet_seconds` of its own, or that of the instance). `mode`: to all destinations, to one after the
    other `in order` (the next when the one before has it), or `failover` (the next only when the one before is dead).
    `priority` 0 to 1000, 100 is urgent. `hold`: ordered, and sent when a person releases it. `edits`: tag edits as
    `dataset.edit` reads them. `quarantine`: the reason for forwarding it nowhere.
    """

    name: str
    conditions: tuple[Any, ...] = ()
    trigger: str = "arrived"
    destinations: tuple[str, ...] = ()
    enabled: bool = True
    quiet_seconds: float | None = None
    mode: str = "all"
    priority: int = 0
    hold: bool = False
    edits: tuple[Any, ...] = ()
    quarantine: str = ""
    created_at: str = ""
    updated_at: str = ""

    def to_json(self) -> dict[str, Any]:
        """The stored form: fields with another value than usual."""
        usual = RuleSpec("")
        always = {"name", "conditions", "trigger", "destinations", "enabled"}
        stored = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in always or value != getattr(usual, one.name):
                stored[one.name] = list(value) if isinstance(value, tuple) else value
        return stored

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The conditions as a tree. Raises BadCondition."""
        return read_all(self.conditions)

    @property
    def when(self) -> list[str]:
        """The conditions as written; one that cannot be read as it is stored."""
        shown = []
        for data in self.conditions:
            try:
                shown.append(written(read_all([data])[0]))
            except BadCondition:
                shown.append(str(data))
        return shown

    @property
    def plain(self) -> bool:
        """Whether the release before this one can carry it out in full."""
        return (
            self.mode == "all" and not (self.priority or self.hold or self.edits or self.quarantine)
            and self.quiet_seconds is None and self.trigger != "association"
        )  # fmt: skip

    def same_as(self, other: RuleSpec) -> bool:
        """Alike but for the times."""
        return replace(self, created_at="", updated_at="") == replace(other, created_at="", updated_at="")


def from_json(data: Mapping[str, Any]) -> RuleSpec:
    """Read the stored form as it is; `checked` looks at it. Raises BadRule for what is no rule."""
    known = {one.name for one in fields(RuleSpec)}
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise BadRule("a rule is an object with a name")
    if unknown := set(data) - known:
        raise BadRule(f"rule {data['name'][:63]}: {str(min(map(str, unknown)))[:40]!r} is no field of a rule")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    try:
        return RuleSpec(**values)
    except TypeError as error:
        raise BadRule(f"rule {data['name'][:63]} cannot be read") from error


def is_name(text: str) -> bool:
    """Whether a rule can have this name."""
    return _SLUG.fullmatch(text) is not None


def conditions_of(items: Sequence[object]) -> tuple[Any, ...]:
    """The stored form of conditions that are written, stored or read already. Raises BadCondition."""
    found: list[Any] = []
    for item in items:
        if isinstance(item, str):
            found.append(parse_expression(item).to_json())
        elif isinstance(item, Mapping):
            found.append(read_all([item])[0].to_json())
        else:
            found.append(cast("Expression", item).to_json())
    return tuple(found)


def checked(rule: RuleSpec) -> RuleSpec:
    """The rule itself if it can work. Raises BadRule, BadCondition. Whether the nodes exist is asked elsewhere."""
    if not is_name(rule.name):
        raise BadRule(f"{rule.name[:80]!r} is no rule name: use letters, digits, '-' and '_', at most 63")
    if rule.trigger not in TRIGGERS:
        raise BadRule(f"{str(rule.trigger)[:40]!r} is no trigger: use {' or '.join(TRIGGERS)}")
    _check_study(rule)
    _check_action(rule)
    try:
        parse_edits(rule.edits)
    except BadEdit as error:
        raise BadRule(f"rule {rule.name}: {error}") from error
    return replace(rule, destinations=tuple(dict.fromkeys(rule.destinations)))


def _check_study(rule: RuleSpec) -> None:
    asked = {leaf.keyword for expression in rule.expressions for leaf in leaves(expression)} & set(STUDY_KEYWORDS)
    if asked and rule.trigger == "arrived":
        raise BadRule(
            f"rule {rule.name}: {min(asked)} is known when the study is there: let the rule wait (association or settled)"
        )
    if rule.quiet_seconds is None:
        return
    if rule.trigger != "settled":
        raise BadRule(f"rule {rule.name}: a quiet time belongs to a rule that waits for `settled`")
    if not isinstance(rule.quiet_seconds, int | float) or not 0 < rule.quiet_seconds <= MAX_QUIET:
        raise BadRule(f"rule {rule.name}: the quiet time is above 0 and at most {MAX_QUIET:.0f} seconds")


def _check_action(rule: RuleSpec) -> None:
    nodes = rule.destinations
    if not all(isinstance(node, str) for node in nodes) or len(nodes) > MAX_NODES:
        raise BadRule(f"rule {rule.name}: destinations are at most {MAX_NODES} names of nodes")
    if rule.quarantine:
        if len(rule.quarantine) > 500:
            raise BadRule(f"rule {rule.name}: the reason has at most 500 characters")
        if nodes or rule.edits or rule.hold or rule.mode != "all":
            raise BadRule(f"rule {rule.name}: what goes to quarantine goes nowhere else: no destinations, edits or hold")
        return
    if not nodes:
        raise BadRule("a rule needs at least one destination node")
    if rule.mode not in MODES:
        raise BadRule(f"{str(rule.mode)[:40]!r} is no mode: use {', '.join(MODES)}")
    if rule.mode != "all" and len(set(nodes)) < 2:
        raise BadRule(f"rule {rule.name}: `{rule.mode}` needs at least two destinations")
    if not isinstance(rule.priority, int) or isinstance(rule.priority, bool) or not 0 <= rule.priority <= HIGHEST:
        raise BadRule(f"rule {rule.name}: the priority is 0 to {HIGHEST}; {URGENT} is urgent")


def check_names(rules: Sequence[RuleSpec]) -> None:
    """No name twice, not too many. Raises RuleExists, BadRule."""
    if len(rules) > MAX_RULES:
        raise BadRule(f"at most {MAX_RULES} rules")
    seen: set[str] = set()
    for rule in rules:
        if rule.name in seen:
            raise RuleExists(f"there is a rule {rule.name!r} already: remove it first or choose another name")
        seen.add(rule.name)


def fields_of(rule: RuleSpec) -> dict[str, Any]:
    """For comparing: everything but name and times, as people read it."""
    values = {**asdict(rule), "when": rule.when}
    return {key: values[key] for key in values if key not in {"name", "conditions", "created_at", "updated_at"}}
