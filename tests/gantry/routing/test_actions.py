"""What rules want done: order, failover, hold, priority, edits, quarantine; and why, kept with the deliveries."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from tests.gantry.transfers.seed import seed_study

from gantry.audit.record import By
from gantry.routing import decisions, route, rules
from gantry.routing.errors import HeldMissing, RuleMissing
from gantry.routing.models import Decision, HeldInstance, RuleProblem
from gantry.transfers.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("three_nodes")]
ME = By("me", "cli")


def by_node() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in Delivery.objects.values_list("node__name", flat=True):
        found[name] = found.get(name, 0) + 1
    return found


def test_why_is_kept_with_the_delivery(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 3, header={"PatientID": "SECRET-9"})
    other = seed_study(tmp_path, 1)
    rules.add("ct", to=["one", "two"], when=["Modality=CT,MR and not StationName=X*", "PatientID~^SECRET"])
    rules.add("again", to=["one"])
    assert route.route_batch(connection, study.batch_id).ordered == 6
    assert route.route_batch(connection, study.batch_id).ordered == 0
    found = decisions.why(connection, study.uid)
    assert [(one.rule_name, one.version, one.conditions, one.deliveries) for one in found] == [
        ("again", 2, [], 3), ("ct", 2, ["Modality=CT,MR", "not StationName=X*", "PatientID~^SECRET"], 3),
    ]  # fmt: skip
    assert set(Delivery.objects.values_list("decision_id", "rule_name")) == {(one.id, one.rule_name) for one in found}
    assert "SECRET-9" not in str(found)
    assert decisions.why(connection, other.uid) == []
    with pytest.raises(RuleMissing, match="no study"):
        decisions.why(connection, "1.2.3.999")
    # One row per study and rule, however many batches there are.
    assert Decision.objects.count() == 2


def test_priority_hold_edits_and_failover_reach_the_ledger(
    tmp_path: Path, connection: psycopg.Connection, three_nodes: dict[str, int]
) -> None:
    study = seed_study(tmp_path, 1)
    edits = [{"op": "remove", "tag": "PatientName"}]
    rules.add("a-plain", to=["one"])
    rules.add("careful", to=["one"], edits=edits, priority=100)
    rules.add("spare", to=["two", "three"], mode="failover")
    rules.add("waits", to=["three"], hold=True)
    assert route.route_batch(connection, study.batch_id).ordered == 3
    rows = {row.node.name: row for row in Delivery.objects.select_related("node")}
    # Where two rules mean the same node, the one that edits or holds wins over the plain one.
    assert (rows["one"].rule_name, rows["one"].edits, rows["one"].priority) == ("careful", edits, 100)
    assert (rows["two"].rule_name, rows["two"].failover) == ("spare", [three_nodes["three"]])
    assert (rows["three"].rule_name, rows["three"].status) == ("waits", "held")


def test_in_order_sends_to_the_next_what_the_one_before_has(
    tmp_path: Path, connection: psycopg.Connection, three_nodes: dict[str, int]
) -> None:
    study = seed_study(tmp_path, 4)
    rules.add("chain", to=["two", "one", "three"], mode="order")
    route.route_batch(connection, study.batch_id)
    assert by_node() == {"two": 4}
    assert route.route_next(connection, study.id, three_nodes["two"]).ordered == 0
    Delivery.objects.filter(version_id__in=study.version_ids[:3]).update(status="confirmed")
    assert route.route_next(connection, study.id, three_nodes["two"]).ordered == 3
    assert by_node() == {"two": 4, "one": 3}
    Delivery.objects.update(status="confirmed")
    assert route.route_next(connection, study.id, three_nodes["one"]).ordered == 4
    assert by_node() == {"two": 4, "one": 4, "three": 3}
    assert route.route_next(connection, study.id, three_nodes["three"]).ordered == 0
    # Another study's end at the node starts nothing that no rule has decided.
    foreign = seed_study(tmp_path, 1)
    assert route.route_next(connection, foreign.id, three_nodes["two"]).ordered == 0


def test_quarantine_goes_nowhere_before_a_person_says_so(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 3)
    rules.add("all", to=["one"])
    rules.add("late", to=["two"], on="settled")
    rules.add("odd", when=["InstanceNumber=2"], quarantine="no second instances")
    outcome = route.route_batch(connection, study.batch_id)
    assert (outcome.ordered, outcome.held) == (2, 1)
    route.route_study(connection, study.id)
    assert by_node() == {"one": 2, "two": 2}
    (held,) = decisions.list_held(connection)
    assert (held.sop_instance_uid, held.rule_name, held.reason) == (f"{study.uid}.1.2", "odd", "no second instances")
    (why,) = [one for one in decisions.why(connection, study.uid) if one.rule_name == "odd"]
    assert (why.held, why.deliveries, why.conditions) == (1, 0, ["InstanceNumber=2"])
    assert decisions.release(connection, ids=[held.id], by=ME, reason="it is right") == 1
    connection.commit()
    assert by_node() == {"one": 3, "two": 3}
    route.route_batch(connection, study.batch_id)
    assert decisions.list_held(connection) == []
    row = HeldInstance.objects.get()
    assert (row.state, row.ended_by, row.ended_reason) == ("released", "me", "it is right")
    with pytest.raises(HeldMissing):
        decisions.release(connection, study_uid=study.uid)


def test_what_is_dismissed_stays_where_it_is(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("none", quarantine="nothing leaves")
    rules.add("all", to=["one"])
    assert route.route_batch(connection, study.batch_id).held == 2
    assert decisions.dismiss(connection, study_uid=study.uid, by=ME, reason="phantom") == 2
    connection.commit()
    rules.remove("none")
    route.route_batch(connection, study.batch_id)
    assert by_node() == {}


def test_study_facts_are_known_to_rules_that_wait(tmp_path: Path, connection: psycopg.Connection) -> None:
    small, large = seed_study(tmp_path, 2), seed_study(tmp_path, 5)
    rules.add("large", to=["one"], when=["NumberOfStudyRelatedInstances=5.."], on="settled")
    rules.add("first", to=["two"], when=["not ModalitiesInStudy=SR"], on="association")
    for study in (small, large):
        route.route_study(connection, study.id)
    assert by_node() == {"one": 5}
    route.route_study(connection, small.id, "association")
    assert by_node() == {"one": 5, "two": 2}


def test_a_rule_that_fails_is_shown_and_announced_once(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 8, header={"PatientID": "a" * 60 + "!"})
    rules.add("slow", to=["one"], when=["PatientID~^(a|a)*$"])
    rules.add("all", to=["two"])
    before = connection.execute("SELECT count(*) FROM facts_fact WHERE kind = 'RuleFailed'").fetchone()
    connection.rollback()
    for _ in range(3):
        assert route.route_batch(connection, study.batch_id).problems.keys() == {"slow"}
    assert by_node() == {"two": 8}
    (problem,) = decisions.problems(connection, 2)
    assert (problem.rule_name, problem.count) == ("slow", 3)
    assert "longer than" in problem.message
    after = connection.execute("SELECT count(*) FROM facts_fact WHERE kind = 'RuleFailed'").fetchone()
    assert before is not None
    assert after == (before[0] + 1,)
    assert RuleProblem.objects.count() == 1


def test_what_is_in_doubt_is_kept_back(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 6, header={"PatientID": "a" * 60 + "!"})
    rules.add("all", to=["one"])
    rules.add("odd", when=["PatientID~^(a|a)*$"], quarantine="looks odd")
    outcome = route.route_batch(connection, study.batch_id)
    assert (outcome.ordered, outcome.held, set(outcome.problems)) == (0, 6, {"odd"})


def test_a_later_moment_asks_those_that_keep_back_again(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("back", when=["InstanceNumber=1"], quarantine="no")
    rules.add("ended", to=["one"], on="association")
    # The job of the batch still waits in the queue when the association ends.
    outcome = route.route_study(connection, study.id, "association")
    assert (outcome.ordered, outcome.held) == (1, 1)
    assert route.route_batch(connection, study.batch_id).held == 0
