"""Rule sets are versions: drafts, activation, going back, two people at once, and what the release before sees."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import psycopg
import pytest

from gantry.audit.record import By
from gantry.nodes import registry
from gantry.nodes.errors import NodeMissing
from gantry.nodes.models import Node
from gantry.routing import rules, versions
from gantry.routing.errors import BadCondition, BadRule, DraftExists, NoDraft, RuleExists, RulesMoved
from gantry.routing.load import active_rules
from gantry.routing.models import Rule, RuleSet

pytestmark = pytest.mark.django_db(transaction=True)
ME, YOU = By("me", "cli"), By("you", "cli")


@pytest.fixture(autouse=True)
def nodes() -> None:
    for name in ("one", "two", "three"):
        registry.add(name, "A@h:104")


@pytest.fixture
def connection() -> Iterator[psycopg.Connection]:
    with psycopg.connect(os.environ["GANTRY_DATABASE_URL"]) as opened:
        yield opened


def names(candidate: str = "active") -> list[str]:
    return [rule.name for rule in rules.list_rules(candidate)]


def test_each_simple_change_is_a_version() -> None:
    assert rules.list_rules() == []
    rules.add("ct", to=["one"], when=["Modality=CT or Modality=MR"], by=ME)
    rules.add("night", to=["two"], when=["time 22:00-06:00"], by=YOU)
    rules.enable("ct", enabled=False)
    rules.remove("night")
    history = list(RuleSet.objects.order_by("version").values_list("version", "state", "author", "note"))
    assert history == [
        (1, "retired", "me", "add ct"), (2, "retired", "you", "add night"), (3, "retired", "system", "switch ct off"),
        (4, "active", "system", "remove night"),
    ]  # fmt: skip
    assert [rule.enabled for rule in rules.list_rules()] == [False]
    assert names("2") == ["ct", "night"]
    assert [str(one) for one in versions.changes_between(versions.version(2), versions.version(4))] == [
        "ct: enabled True -> False",
        "night: removed",
    ]


def test_a_draft_is_tried_and_activated(connection: psycopg.Connection) -> None:
    rules.add("ct", to=["one"], when=["Modality=CT"])
    made = versions.start_draft(ME, note="for the new archive")
    with pytest.raises(DraftExists, match="by me"):
        versions.start_draft(YOU)
    rules.add("mr", to=["two"], when=["Modality=MR"], draft=True, by=ME)
    rules.update("ct", draft=True, destinations=("two",))
    assert (names(), names("draft")) == (["ct"], ["ct", "mr"])
    assert active_rules(connection).version == 1
    assert [str(one) for one in versions.changes_between(versions.active(), versions.draft())] == [
        "ct: destinations one -> two",
        "mr: added",
    ]
    found = versions.activate_draft(ME)
    assert (found.version, found.note, found.revision, found.activated_by) == (made.version, "for the new archive", 3, "me")
    now = active_rules(connection)
    assert (now.version, {rule.name for rule in now.rules}) == (2, {"ct", "mr"})
    with pytest.raises(NoDraft):
        versions.draft()
    back = versions.roll_back(by=YOU)
    assert (back.version, back.note, names()) == (3, "back to version 1", ["ct"])
    assert rules.get("ct").destinations == ("one",)
    assert names("2") == ["ct", "mr"]
    assert versions.roll_back(2).version == 4
    with pytest.raises(NoDraft, match="no version 9"):
        versions.roll_back(9)
    kinds = [row[0] for row in connection.execute("SELECT kind FROM facts_fact WHERE kind = 'RulesChanged' ORDER BY id")]
    assert len(kinds) >= 4


def test_back_goes_to_what_decided_before_not_to_the_number_below() -> None:
    """A draft has the number of when it was begun: another version may have decided between that and its activation."""
    rules.add("ct", to=["one"], by=ME)
    drafted = versions.start_draft(ME)
    rules.add("mr", to=["one"], by=ME)
    versions.rebase_draft(ME)
    rules.update("ct", draft=True, destinations=("two",))
    versions.activate_draft(ME)
    assert drafted.version == 2
    assert versions.active_before().version == 3
    assert versions.roll_back(by=YOU).note == "back to version 3"
    assert rules.get("ct").destinations == ("one",)
    assert versions.roll_back(by=YOU).note == "back to version 2"  # and forth again


def test_two_people_notice_each_other() -> None:
    rules.add("ct", to=["one"])
    with pytest.raises(RulesMoved, match="version 1 by now, not 0: ct: added") as moved:
        rules.add("mr", to=["one"], expected=0)
    assert (moved.value.current, moved.value.changes) == (1, ["ct: added"])
    rules.add("mr", to=["one"], expected=1)
    draft = versions.start_draft(ME)
    rules.add("us", to=["one"], draft=True, expected=draft.revision)
    with pytest.raises(RulesMoved, match="revision 2"):
        rules.add("cr", to=["one"], draft=True, expected=draft.revision)
    with pytest.raises(RulesMoved, match="revision 2"):
        versions.activate_draft(ME, expected=1)
    # Meanwhile somebody changed the active rules: nothing is overwritten.
    rules.enable("mr", enabled=False, by=YOU)
    with pytest.raises(RulesMoved, match=r"mr: enabled True -> False.*--rebase"):
        versions.activate_draft(ME)
    versions.rebase_draft(ME)
    assert [rule.enabled for rule in rules.list_rules("draft")] == [True, False, True]
    rules.update("mr", draft=True, destinations=("two",))
    rules.update("mr", destinations=("three",))
    with pytest.raises(RulesMoved, match="both changed mr"):
        versions.rebase_draft(ME)
    versions.discard_draft(ME)
    assert RuleSet.objects.filter(activated_at=None).get().state == "retired"
    assert names() == ["ct", "mr"]


def test_edits_at_the_same_moment_are_all_there() -> None:
    def add(number: int) -> None:
        from django.db import connections

        rules.add(f"r{number}", to=["one"])
        connections.close_all()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(names()) == ["r0", "r1", "r2", "r3"]
    assert RuleSet.objects.count() == 4


def test_what_cannot_work_is_refused_and_nothing_changes() -> None:
    rules.add("ct", to=["one"])
    refused: list[tuple[type[Exception], str, dict[str, object]]] = [
        (BadRule, "known when the study is there", {"when": ["NumberOfStudyRelatedInstances=1.."]}),
        (BadRule, "belongs to a rule that waits", {"quiet_seconds": 3.0}),
        (BadRule, "above 0", {"on": "settled", "quiet_seconds": 0}),
        (BadRule, "no trigger", {"on": "soon"}),
        (BadRule, "at least two", {"mode": "failover"}),
        (BadRule, "no mode", {"mode": "both"}),
        (BadRule, "0 to 1000", {"priority": 2000}),
        (BadRule, "goes nowhere else", {"quarantine": "no"}),
        (BadRule, "edit 1: .*pixel data", {"edits": [{"op": "remove", "tag": "PixelData"}]}),
        (BadCondition, "at character 1", {"when": ["Modality"]}),
        (NodeMissing, "gone", {"to": ["gone"]}),
        (RuleExists, "already", {"name": "ct"}),
    ]
    for kind, message, fields in refused:
        given = {"name": "x", "to": ["one"], **fields}
        with pytest.raises(kind, match=message):
            rules.add(given.pop("name"), **given)  # type: ignore[arg-type]
    assert (names(), RuleSet.objects.count()) == (["ct"], 1)


def test_a_node_that_is_gone_stops_no_other_change(connection: psycopg.Connection) -> None:
    rules.add("lost", to=["two"])
    rules.add("partly", to=["one", "two"])
    rules.add("ordered", to=["two", "one"], mode="order")
    Node.objects.filter(name="two").update(removed_at="2026-01-01T00:00:00Z", enabled=False)
    rules.add("next", to=["one"])
    active = active_rules(connection)
    assert {rule.name: len(rule.node_ids) for rule in active.rules} == {"partly": 1, "next": 1}
    assert set(active.problems) == {"lost", "partly", "ordered"}
    with pytest.raises(NodeMissing, match="rule lost"):
        rules.update("lost", priority=5)


def test_the_release_before_sees_only_what_it_can_do() -> None:
    rules.add("plain", to=["one"], when=["Modality=CT"])
    rules.add("tree", to=["one"], when=["Modality=CT or Modality=MR"], on="settled")
    rules.add("edited", to=["one"], edits=[{"op": "remove", "tag": "PatientName"}])
    rules.add("kept", quarantine="not for us")
    found = {row.name: (row.trigger, [node.name for node in row.destinations.all()]) for row in Rule.objects.all()}
    assert found == {
        "plain": ("arrived", ["one"]),
        "tree": ("settled", ["one"]),
        "edited": ("newer:arrived", ["one"]),
        "kept": ("newer:arrived", []),
    }
    versions.roll_back(1)
    assert [row.name for row in Rule.objects.all()] == ["plain"]


def test_the_present_rules_become_version_1() -> None:
    from importlib import import_module

    from django.apps import apps

    Rule.objects.all().delete()
    RuleSet.objects.all().delete()
    row = Rule.objects.create(
        name="old", conditions=[{"keyword": "Modality", "operator": "equals", "value": "CT"}], trigger="settled",
        created_at="2026-01-01T00:00:00Z", updated_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    row.destinations.set(Node.objects.filter(name__in=["one", "two"]))
    import_module("gantry.routing.migrations.0002_versions").first_version(apps, None)
    active = versions.active()
    assert active is not None
    assert (active.version, active.state) == (1, "active")
    (rule,) = rules.list_rules()
    assert (rule.name, rule.when, rule.trigger, rule.destinations) == ("old", ["Modality=CT"], "settled", ("one", "two"))
    import_module("gantry.routing.migrations.0002_versions").first_version(apps, None)
    assert RuleSet.objects.count() == 1
