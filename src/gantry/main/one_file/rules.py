"""Routing rules in the file: all that change make one new version of the rules, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from gantry.main.one_file.plan import Change, Run, Section, Wanted, told
from gantry.main.one_file.schema import Rule
from gantry.main.one_file.text import Document
from gantry.nodes import registry
from gantry.routing import rules, versions
from gantry.routing.errors import BadCondition
from gantry.routing.expression import parse_expression, read, written
from gantry.routing.spec import RuleSpec


class Rules(Section[Rule]):
    """The active rules."""

    name = "rules"
    ordered = True

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Rule]:
        """In the order in which they decide."""
        return [_as_item(spec) for spec in rules.list_rules()]

    def normal(self, item: Rule, run: Run) -> Rule:
        """Conditions in one spelling."""
        return _as_item(_as_spec(item))

    def bring(self, wanted: Sequence[Wanted[Rule]], document: Document, run: Run) -> list[Change]:
        """One new version for all of it. Rules that the file does not name decide after those that it names."""
        before = {rule.name: rule for rule in self.read(run.home, run.connection)}
        stored = {spec.name: spec for spec in rules.list_rules()}
        found: list[Change] = []
        target: list[RuleSpec] = []
        for one in wanted:
            item, line = one.item, document.line(one.path)
            old = before.pop(item.name, None)
            with told(document, one):
                fields = self.differences(old, item, run) if old is not None else {}
                if old is not None and not fields:
                    target.append(stored[item.name])
                    continue
                target.append(versions.stamped(_as_spec(item), stored.get(item.name)))
                for node in item.destinations:
                    registry.get(node)
                found.append(
                    Change(self.name, item.name, "added", self.made(item), line) if old is None
                    else Change(self.name, item.name, "changed", fields, line)
                )  # fmt: skip
        rest = [] if run.prune else [stored[name] for name in before]
        found += [Change(self.name, name, "removed" if run.prune else "unmanaged") for name in before]
        moved = self._moved([*target, *rest], list(stored), document, wanted)
        found += moved
        if any(change.real for change in found):
            versions.change_active(lambda _: [*target, *rest], run.by, note=f"apply {document.name}"[:500])
        return found

    def _moved(
        self, target: Sequence[RuleSpec], stored: Sequence[str], document: Document, wanted: Sequence[Wanted[Rule]]
    ) -> list[Change]:
        """Rules that are there before and after, in another order."""
        names = {spec.name for spec in target}
        old = [name for name in stored if name in names]
        new = [spec.name for spec in target if spec.name in set(stored)]
        lines = {one.item.name: document.line(one.path) for one in wanted}
        places = {name: place for place, name in enumerate(old, 1)}
        return [
            Change(self.name, name, "changed", {"order": (places[name], place)}, lines.get(name, 0))
            for place, name in enumerate(new, 1)
            if places[name] != place
        ]

    def add(self, item: Rule, run: Run) -> None:
        """Not used: `bring` changes all at once."""
        raise NotImplementedError

    def change(self, before: Rule, item: Rule, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Not used, as above."""
        raise NotImplementedError

    def remove(self, item: Rule, run: Run) -> None:
        """Not used, as above."""
        raise NotImplementedError


def _as_spec(item: Rule) -> RuleSpec:
    return rules.make(
        item.name, to=item.destinations, when=item.when, on=item.trigger, enabled=item.enabled,
        quiet_seconds=item.quiet_seconds, mode=item.mode, priority=item.priority, hold=item.hold, edits=item.edits,
        quarantine=item.quarantine,
    )  # fmt: skip


def _as_item(spec: RuleSpec) -> Rule:
    return Rule(
        name=spec.name, enabled=spec.enabled, when=[_condition(data) for data in spec.conditions], trigger=spec.trigger,
        destinations=list(spec.destinations), quiet_seconds=spec.quiet_seconds, mode=spec.mode, priority=spec.priority,
        hold=spec.hold, edits=[dict(edit) for edit in spec.edits], quarantine=spec.quarantine,
    )  # fmt: skip


def _condition(data: Any) -> str | dict[str, Any]:
    """As written, where that says the same; else in parts."""
    try:
        expression = read(data)
        text = written(expression)
        if parse_expression(text).to_json() == expression.to_json():
            return text
    except BadCondition:
        pass
    return dict(data)
