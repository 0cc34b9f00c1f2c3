"""Look at rules that are being written: every problem with its place in the JSON, so that a form can mark the field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from gantry.dataset.edit import BadEdit, parse_edits
from gantry.dataset.edit_declared import MAX_EDITS
from gantry.routing import conditions as known
from gantry.routing.errors import BadCondition, BadRule
from gantry.routing.expression import MAX_DEPTH, leaves, parse_expression, read
from gantry.routing.spec import HIGHEST, MAX_NODES, MAX_QUIET, MODES, TRIGGERS, RuleSpec, checked, conditions_of, is_name

Place = tuple[str | int, ...]
#: Shown beside a rule and never read back.
_SHOWN = frozenset({"when", "created_at", "updated_at"})
_FIELDS = frozenset(one.name for one in fields(RuleSpec)) | _SHOWN
MAX_PROBLEMS = 100
_MAX_CONDITIONS = 100
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: keys and numbers from the list of rules down. A warning does not keep from saving."""

    path: Place
    message: str
    level: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Checked:
    """The problems, and each rule as it would be kept; None where it cannot be."""

    problems: tuple[Problem, ...]
    rules: tuple[RuleSpec | None, ...]

    @property
    def valid(self) -> bool:
        """Whether all could be saved."""
        return not any(one.level == "error" for one in self.problems)


def check(rules: Sequence[object], nodes: Mapping[str, bool], taken: Collection[str] = ()) -> Checked:
    """Look at rules. `nodes`: name to whether it is enabled; `taken`: names of other rules. Never raises."""
    found: list[Problem] = []
    made: list[RuleSpec | None] = []
    seen = set(taken)
    for number, data in enumerate(rules):
        problems = [Problem((number, *one.path), one.message, one.level) for one in _rule(data, nodes)]
        name = data.get("name") if isinstance(data, Mapping) else None
        if isinstance(name, str) and name in seen:
            problems.append(Problem((number, "name"), f"there is a rule {name[:63]!r} already: choose another name"))
        elif isinstance(name, str):
            seen.add(name)
        rule = None
        if not any(one.level == "error" for one in problems):
            try:
                rule = spec_of(data)
            except (BadRule, BadCondition) as error:  # what the walk below does not know of
                problems.append(Problem((number,), str(error)))
        made.append(rule)
        found += problems
    return Checked(tuple(found[:MAX_PROBLEMS]), tuple(made))


def spec_of(data: Any) -> RuleSpec:
    """A rule of JSON values as it is kept. Raises BadRule, BadCondition."""
    values = {key: value for key, value in data.items() if key not in _SHOWN}
    values["conditions"] = conditions_of(values.get("conditions") or ())
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return checked(RuleSpec(**{**values, **lists}))


def _rule(data: object, nodes: Mapping[str, bool]) -> Iterator[Problem]:
    if not isinstance(data, Mapping):
        yield Problem((), "a rule is an object with a name")
        return
    for key in data:
        if key not in _FIELDS:
            yield Problem((str(key)[:64],), f"{str(key)[:40]!r} is no field of a rule")
    yield from _plain_fields(data)
    yield from _conditions(data)
    yield from _action(data, nodes)
    yield from _edits(data)


def _plain_fields(data: Mapping[str, Any]) -> Iterator[Problem]:
    name = data.get("name")
    if not isinstance(name, str) or not is_name(name):
        yield Problem(("name",), "a name has letters, digits, '-' and '_', at most 63, and begins with a letter or digit")
    trigger = data.get("trigger", "arrived")
    if trigger not in TRIGGERS:
        yield Problem(("trigger",), f"use {', '.join(TRIGGERS)}")
    for key in ("enabled", "hold"):
        if not isinstance(data.get(key, True), bool):
            yield Problem((key,), "true or false")
    priority = data.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= HIGHEST:
        yield Problem(("priority",), f"a whole number from 0 to {HIGHEST}; 100 is urgent")
    quiet = data.get("quiet_seconds")
    if quiet is None:
        return
    if isinstance(quiet, bool) or not isinstance(quiet, int | float) or not 0 < quiet <= MAX_QUIET:
        yield Problem(("quiet_seconds",), f"above 0 and at most {MAX_QUIET:.0f} seconds")
    elif trigger != "settled":
        yield Problem(("quiet_seconds",), "a quiet time belongs to a rule that waits until the study is quiet")


def _conditions(data: Mapping[str, Any]) -> Iterator[Problem]:
    conditions = data.get("conditions", [])
    if not isinstance(conditions, list) or len(conditions) > _MAX_CONDITIONS:
        yield Problem(("conditions",), f"a list of at most {_MAX_CONDITIONS} conditions")
        return
    early = data.get("trigger", "arrived") == "arrived"
    for number, item in enumerate(conditions):
        yield from _condition(item, ("conditions", number), early=early, depth=0)


def _condition(item: object, path: Place, *, early: bool, depth: int) -> Iterator[Problem]:
    """Walks down to the part that is wrong."""
    if depth > MAX_DEPTH:
        yield Problem(path, f"conditions are nested more than {MAX_DEPTH} deep")
    elif isinstance(item, str):
        yield from _written(item, path, early=early)
    elif isinstance(item, Mapping) and set(item) == {"not"}:
        yield from _condition(item["not"], (*path, "not"), early=early, depth=depth + 1)
    elif isinstance(item, Mapping) and (set(item) == {"all"} or set(item) == {"any"}):
        word, parts = next(iter(item.items()))
        if not isinstance(parts, list) or not parts:
            yield Problem((*path, word), "it needs at least one condition")
            return
        for number, part in enumerate(parts):
            yield from _condition(part, (*path, word, number), early=early, depth=depth + 1)
    elif isinstance(item, Mapping) and set(item) == {"keyword", "operator", "value"}:
        yield from _leaf(item, path, early=early)
    else:
        yield Problem(path, 'a condition has "keyword", "operator" and "value", or is one of "all", "any", "not"')


def _written(text: str, path: Place, *, early: bool) -> Iterator[Problem]:
    try:
        found = parse_expression(text)
    except BadCondition as error:
        yield Problem(path, str(error))
        return
    for leaf in leaves(found):
        if early and leaf.keyword in known.STUDY_KEYWORDS:
            yield Problem(path, _too_early(leaf.keyword))


def _leaf(item: Mapping[str, Any], path: Place, *, early: bool) -> Iterator[Problem]:
    keyword, operator = item["keyword"], item["operator"]
    if not isinstance(keyword, str) or not keyword:
        yield Problem((*path, "keyword"), "choose an attribute")
        return
    try:
        known.vr_of(keyword)
    except BadCondition as error:
        yield Problem((*path, "keyword"), str(error))
        return
    if early and keyword in known.STUDY_KEYWORDS:
        yield Problem((*path, "keyword"), _too_early(keyword))
    if operator not in get_args(known.Operator) or operator not in known.operators_of(keyword):
        yield Problem((*path, "operator"), f"of {keyword} can be asked: {', '.join(known.operators_of(keyword))}")
        return
    try:
        read(item)
    except BadCondition as error:
        yield Problem((*path, "value"), str(error).removeprefix(f"{keyword}: "))


def _too_early(keyword: str) -> str:
    return f"{keyword} is known when the study is there: let the rule wait for the end of the association or the quiet time"


def _action(data: Mapping[str, Any], nodes: Mapping[str, bool]) -> Iterator[Problem]:
    reason, mode = data.get("quarantine", ""), data.get("mode", "all")
    if not isinstance(reason, str) or len(reason) > _MAX_REASON or "\0" in reason:
        yield Problem(("quarantine",), f"a reason of at most {_MAX_REASON} characters")
        reason = ""
    if mode not in MODES:
        yield Problem(("mode",), f"use {', '.join(MODES)}")
    if reason:
        others = [key for key in ("destinations", "edits", "hold") if data.get(key)] + (["mode"] if mode != "all" else [])
        for key in others:
            yield Problem((key,), "what goes to quarantine goes nowhere else")
    else:
        yield from _destinations(data.get("destinations", []), mode, nodes)


def _destinations(there: Any, mode: object, nodes: Mapping[str, bool]) -> Iterator[Problem]:
    if not isinstance(there, list) or len(there) > MAX_NODES or not all(isinstance(node, str) for node in there):
        yield Problem(("destinations",), f"at most {MAX_NODES} names of nodes")
        return
    if not there:
        yield Problem(("destinations",), "choose at least one destination, or keep it back with a reason")
    elif mode in ("order", "failover") and len(set(there)) < 2:
        yield Problem(("mode",), f"`{mode}` needs at least two destinations")
    for number, node in enumerate(there):
        if node not in nodes:
            yield Problem(("destinations", number), f"there is no node {node[:63]!r}")
        elif not nodes[node]:
            yield Problem(("destinations", number), f"{node} is held back: what is ordered waits there", "warning")


def _edits(data: Mapping[str, Any]) -> Iterator[Problem]:
    edits = data.get("edits", [])
    if not isinstance(edits, list):
        yield Problem(("edits",), "edits are a list of operations")
        return
    if len(edits) > MAX_EDITS:
        yield Problem(("edits",), f"at most {MAX_EDITS} edits")
        return
    for number, edit in enumerate(edits):
        try:
            parse_edits([edit])
        except BadEdit as error:
            yield Problem(("edits", number), str(error).removeprefix("edit 1: "))
