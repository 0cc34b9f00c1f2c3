"""Rules, their versions, and what a draft would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gantry_client.models import Rule
from gantry_client.nouns.asking import Asking, given, items_of, part, record
from gantry_client.records_rules import Replay, RuleSet, Trial


class Rules(Asking):
    """Rules and rule sets. `which` is the number of a version, `active` or `draft`."""

    def rules(self) -> Iterator[Rule]:
        """All rules."""
        return self._all(Rule, "/rules", {})

    def rule(self, name: str) -> Rule:
        """One rule. Raises NotFound."""
        return self._one(Rule, "GET", f"/rules/{part(name)}")

    def add_rule(self, name: str, destinations: Sequence[str], *, when: Sequence[str] = (), trigger: str = "arrived") -> Rule:
        """Add a rule: what meets all conditions (`Modality=CT,MR`) goes to the nodes named."""
        body = {"name": name, "destinations": list(destinations), "conditions": list(when), "trigger": trigger}
        return self._one(Rule, "POST", "/rules", body)

    def enable_rule(self, name: str, enabled: bool = True) -> Rule:
        """Switch a rule on or off."""
        return self._one(Rule, "PATCH", f"/rules/{part(name)}", {"enabled": enabled})

    def remove_rule(self, name: str) -> None:
        """Take a rule away. Raises NotFound."""
        self._ask("DELETE", f"/rules/{part(name)}")

    def rule_sets(self) -> Iterator[RuleSet]:
        """All versions, the last first."""
        return self._all(RuleSet, "/rule-sets", {})

    def rule_set(self, which: str | int) -> RuleSet:
        """One version. Raises NotFound."""
        return self._one(RuleSet, "GET", f"/rule-sets/{part(str(which))}")

    def rules_of(self, which: str | int) -> Iterator[Rule]:
        """The rules of a version."""
        return self._all(Rule, "/rules", {"version": which})

    def draft_rules(self, *, of: str | int = "active", note: str = "") -> RuleSet:
        """Begin a draft with the rules of a version. Raises ConflictError when there is one."""
        return self._one(RuleSet, "POST", "/rule-sets", {"of": str(of), "note": note})

    def put_rules(
        self, rules: Sequence[Mapping[str, Any]], *, which: str | int = "draft", expected: int | None = None
    ) -> RuleSet:
        """The rules of a draft, all anew; `expected` is the revision that was read."""
        body = given(rules=[dict(rule) for rule in rules], expected=expected)
        return self._one(RuleSet, "PUT", f"/rule-sets/{part(str(which))}/rules", body)

    def activate_rules(self, which: str | int = "draft", *, expected: int | None = None, note: str | None = None) -> RuleSet:
        """A draft goes live; an earlier version comes back."""
        body = given(expected=expected, note=note)
        return self._one(RuleSet, "POST", f"/rule-sets/{part(str(which))}/activate", body)

    def discard_draft(self, which: str | int = "draft") -> None:
        """Throw a draft away. Raises NotFound."""
        self._ask("DELETE", f"/rule-sets/{part(str(which))}")

    def try_rules(self, study_instance_uid: str, *, version: str | int = "active") -> Trial:
        """Where the rules would send a study; nothing is sent."""
        return self._one(Trial, "POST", "/rule-trials", {"study_instance_uid": study_instance_uid, "version": str(version)})

    def replay_rules(self, *, days: float, version: str | int = "draft") -> Replay:
        """Order: what would have gone elsewhere in the last days."""
        return self._one(Replay, "POST", "/rule-replays", {"days": days, "version": str(version)})

    def replays(self) -> list[Replay]:
        """The last replays."""
        return [record(Replay, item) for item in items_of(self._ask("GET", "/rule-replays"))]

    def replay(self, replay_id: str) -> Replay:
        """How far it is, and its result. Raises NotFound."""
        return self._one(Replay, "GET", f"/rule-replays/{part(replay_id)}")

    def cancel_replay(self, replay_id: str) -> Replay:
        """Stop it."""
        return self._one(Replay, "DELETE", f"/rule-replays/{part(replay_id)}")
