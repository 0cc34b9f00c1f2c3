"""What differs between two versions of the rules, and one person's changes on top of another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gantry.routing.errors import RulesMoved
from gantry.routing.spec import RuleSpec, fields_of


@dataclass(frozen=True, slots=True)
class RuleDifference:
    """One rule: added, removed, or changed with `fields` as (before, after)."""

    name: str
    kind: Literal["added", "removed", "changed", "moved"]
    fields: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        if self.kind != "changed":
            return f"{self.name}: {self.kind}"
        return f"{self.name}: " + "; ".join(f"{key} {_shown(old)} -> {_shown(new)}" for key, (old, new) in self.fields.items())


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "nothing"
    return "nothing" if value in {None, ""} else str(value)


def compare(before: Sequence[RuleSpec], after: Sequence[RuleSpec]) -> list[RuleDifference]:
    """Rule by rule, in the order of `after`, removed ones last. Rules decide in their order, so that counts, too."""
    old = {rule.name: rule for rule in before}
    new = {rule.name: rule for rule in after}
    found = []
    for name, rule in new.items():
        if name not in old:
            found.append(RuleDifference(name, "added", {}))
            continue
        was, now = fields_of(old[name]), fields_of(rule)
        if changed := {key: (was[key], now[key]) for key in now if was[key] != now[key]}:
            found.append(RuleDifference(name, "changed", changed))
    found += [RuleDifference(name, "removed", {}) for name in old if name not in new]
    common = [name for name in old if name in new]
    if not found and common != [name for name in new if name in old]:
        found += [RuleDifference(name, "moved", {}) for a, name in zip(common, new, strict=False) if a != name]
    return found


def merge(base: Sequence[RuleSpec], mine: Sequence[RuleSpec], theirs: Sequence[RuleSpec], current: int) -> list[RuleSpec]:
    """What I changed since `base`, on top of `theirs`. Raises RulesMoved where both changed the same rule differently."""
    old = {rule.name: rule for rule in base}
    ours = {rule.name: rule for rule in mine}
    result = {rule.name: rule for rule in theirs}
    clashes = []
    for name in {**old, **ours}:
        was, now, there = old.get(name), ours.get(name), result.get(name)
        if _same(was, now) or _same(now, there):
            continue
        if not _same(was, there):
            clashes.append(name)
        elif now is None:
            result.pop(name, None)
        else:
            result[name] = now
    if clashes:
        raise RulesMoved(
            f"both changed {', '.join(clashes[:10])}: discard the draft or change the rule to what is active first",
            current,
            clashes,
        )
    return list(result.values())


def _same(one: RuleSpec | None, other: RuleSpec | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_as(other)
