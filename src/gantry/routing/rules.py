"""Add, change, list, remove and switch rules: each of these makes a version of the active set, or changes the draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gantry.audit.record import SYSTEM, By
from gantry.nodes import registry
from gantry.routing import versions
from gantry.routing.errors import RuleExists, RuleMissing
from gantry.routing.models import RuleSet
from gantry.routing.spec import RuleSpec, checked, conditions_of


def make(name: str, *, to: Sequence[str] = (), when: Sequence[object] = (), on: str = "arrived", **more: Any) -> RuleSpec:
    """A checked rule. `when`: written conditions, their stored form, or trees; `more`: the other fields of RuleSpec.

    Raises BadRule, BadCondition.
    """
    edits = tuple(more.pop("edits", ()) or ())
    return checked(
        RuleSpec(name, conditions=conditions_of(when), trigger=on, destinations=tuple(dict.fromkeys(to)), edits=edits, **more)
    )


def add(
    name: str,
    *,
    to: Sequence[str] = (),
    when: Sequence[object] = (),
    on: str = "arrived",
    by: By = SYSTEM,
    draft: bool = False,
    expected: int | None = None,
    **more: Any,
) -> RuleSpec:
    """Make a rule: what meets all conditions `when` goes to the nodes `to`.

    Raises BadRule, BadCondition, RuleExists, RulesMoved, gantry.nodes.errors.NodeMissing.
    """
    rule = versions.stamped(make(name, to=to, when=when, on=on, **more))

    def change(rules: list[RuleSpec]) -> list[RuleSpec]:
        if any(other.name == name for other in rules):
            raise RuleExists(f"there is a rule {name!r} already: remove it first or choose another name")
        for node in rule.destinations:
            registry.get(node)
        return [*rules, rule]

    _change(change, by, f"add {name}", draft=draft, expected=expected)
    return rule


def update(
    name: str, *, by: By = SYSTEM, draft: bool = False, expected: int | None = None, note: str = "", **fields: Any
) -> RuleSpec:
    """Change fields of a rule (those of RuleSpec). Raises as `add`, and RuleMissing."""
    made: list[RuleSpec] = []

    def change(rules: list[RuleSpec]) -> list[RuleSpec]:
        before = _named(rules, name)
        made.append(versions.stamped(checked(replace(before, **fields)), before))
        return [made[0] if rule.name == name else rule for rule in rules]

    _change(change, by, note or f"change {name}", draft=draft, expected=expected)
    return made[0]


def remove(name: str, *, by: By = SYSTEM, draft: bool = False, expected: int | None = None) -> None:
    """Take a rule away. Deliveries it has ordered stay. Raises RuleMissing, RulesMoved."""

    def change(rules: list[RuleSpec]) -> list[RuleSpec]:
        _named(rules, name)
        return [rule for rule in rules if rule.name != name]

    _change(change, by, f"remove {name}", draft=draft, expected=expected)


def enable(name: str, *, enabled: bool = True, by: By = SYSTEM, draft: bool = False, expected: int | None = None) -> RuleSpec:
    """Switch a rule on or off. Raises RuleMissing, RulesMoved."""
    note = f"switch {name} {'on' if enabled else 'off'}"
    return update(name, by=by, draft=draft, expected=expected, note=note, enabled=enabled)


def list_rules(candidate: str = "active") -> list[RuleSpec]:
    """The rules of the active set in their order, or those of a draft or version. Raises NoDraft."""
    if candidate == "active":
        return versions.rules_of(versions.active())
    return versions.rules_of(versions.pick(candidate))


def get(name: str, candidate: str = "active") -> RuleSpec:
    """The rule of this name. Raises RuleMissing."""
    return _named(list_rules(candidate), name)


def _named(rules: Sequence[RuleSpec], name: str) -> RuleSpec:
    found = next((rule for rule in rules if rule.name == name), None)
    if found is None:
        raise RuleMissing(f"there is no rule {name[:80]!r}: `gantry rule list` shows those that are")
    return found


def _change(change: versions.Change, by: By, note: str, *, draft: bool, expected: int | None) -> RuleSet:
    if draft:
        return versions.change_draft(change, by, note=note, expected=expected)
    return versions.change_active(change, by, note=note, expected=expected)
