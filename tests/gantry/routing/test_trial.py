"""Before it goes live: the rules on one file, on one study, and on what the index holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.gantry.accounts.people import bearer
from tests.gantry.transfers.seed import seed_study
from tests.support import part10_files as files

from gantry.catalogue.models import Study
from gantry.routing import rules, trial, versions, work
from gantry.routing.errors import TrialFailed
from gantry.routing.models import Decision, Replay
from gantry.routing.replay import QUARANTINE, replay
from gantry.transfers.models import Delivery

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("three_nodes")]


def test_a_file_with_the_reasons_and_the_difference(tmp_path: Path, connection: psycopg.Connection) -> None:
    (path,) = files.write_series(tmp_path, 1)
    rules.add(
        "ct",
        to=["one"],
        when=["Modality=CT and (CallingAET=CT* or weekday sat)"],
        edits=[{"op": "set", "tag": "InstitutionName", "value": "X"}],
    )
    rules.add("mr", to=["two"], when=["Modality=MR", "time 08:00-09:00"])
    rules.add("large", to=["two"], when=["NumberOfStudyRelatedInstances=9.."], on="settled")
    arrival = trial.Arrival("CT7", "US", "10.0.0.1", datetime(2026, 11, 21, 8, 30, tzinfo=UTC))
    found = trial.try_file(connection, versions.active(), path, arrival)
    ct, mr, large = found.rules
    assert (ct.matched, mr.matched, large.matched) == (1, 0, 0)
    assert [(one.condition, one.held, one.seen) for one in ct.conditions] == [
        ("Modality=CT", True, "CT"), ("CallingAET=CT*", True, "CT7"), ("weekday=sat", True, "sat"),
    ]  # fmt: skip
    assert [(one.condition, one.held, one.seen) for one in mr.conditions] == [
        ("Modality=MR", False, "CT"), ("time=08:00-09:00", True, "sat 08:30"),
    ]  # fmt: skip
    assert [(one.path, one.after) for one in ct.differences] == [("InstitutionName", "X")]
    assert found.destinations == {"one": 1}
    assert Delivery.objects.count() == Decision.objects.count() == 0


def test_what_is_no_file_or_study_is_told(tmp_path: Path, connection: psycopg.Connection) -> None:
    bad = tmp_path / "a.txt"
    bad.write_text("hello, this is no DICOM file at all")
    for path, message in ((bad, "a text file"), (tmp_path, "cannot be read"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(TrialFailed, match=message):
            trial.try_file(connection, None, path)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(TrialFailed, match="empty"):
        trial.try_file(connection, None, tmp_path / "empty")
    with pytest.raises(TrialFailed, match="no study"):
        trial.try_study(connection, None, "1.2.3", tmp_path)


def test_a_stored_study_by_draft(tmp_path: Path, connection: psycopg.Connection) -> None:
    study = seed_study(tmp_path, 5)
    rules.add("all", to=["one"])
    versions.start_draft()
    rules.add("some", to=["two"], when=["InstanceNumber=3-"], draft=True, edits=[{"op": "remove", "tag": "PatientName"}])
    rules.add("back", when=["InstanceNumber=5"], quarantine="no", draft=True)
    found = trial.try_study(connection, versions.draft(), study.uid, tmp_path)
    assert [(row.rule, row.matched) for row in found.rules] == [("all", 5), ("some", 3), ("back", 1)]
    assert (found.kept_back, found.destinations, found.instances) == (1, {"one": 4, "two": 2}, 5)
    assert [one.path for one in found.rules[1].differences] == ["PatientName"]
    assert trial.try_study(connection, versions.active(), study.uid, tmp_path).destinations == {"one": 5}
    study.instances[2].path.unlink()
    gone = trial.try_study(connection, versions.draft(), study.uid, tmp_path)
    assert "cannot be read" in gone.rules[1].problem


def test_replay_shows_what_would_have_gone_elsewhere(tmp_path: Path, connection: psycopg.Connection) -> None:
    studies = [seed_study(tmp_path, 3, header={"StationName": f"ST{number % 2}"}) for number in range(6)]
    Study.objects.filter(pk=studies[0].id).update(last_received_at=datetime.now(UTC) - timedelta(days=30))
    rules.add("all", to=["one"])
    rules.add("odd", to=["two"], when=["StationName=ST1"])
    versions.start_draft()
    rules.update("odd", draft=True, destinations=("three",))
    rules.add("third", when=["StationName=ST0 and InstanceNumber=3"], quarantine="no thirds", draft=True)
    told: list[tuple[int, int]] = []
    found = replay(connection, versions.active(), versions.draft(), 7, lambda done, total: bool(told.append((done, total))))
    assert (found.studies, found.instances, found.changed, found.stopped) == (5, 15, 5, False)
    rows = {
        one.node: (one.studies_before, one.studies_after, one.instances_before, one.instances_after, one.gained, one.lost)
        for one in found.nodes
    }
    assert rows == {
        "one": (5, 5, 15, 13, 0, 0), "two": (3, 0, 9, 0, 0, 3), "three": (0, 3, 0, 9, 3, 0), QUARANTINE: (0, 2, 0, 2, 2, 0),
    }  # fmt: skip
    assert {one.study_instance_uid for one in found.examples} == {one.uid for one in studies[1:]}
    assert told[-1] == (5, 5)
    # The same rules: nothing differs. Nothing was ordered or written by any of it.
    assert replay(connection, versions.active(), versions.active(), 7).changed == 0
    assert replay(connection, None, versions.active(), 60).studies == 6
    assert Delivery.objects.count() == Decision.objects.count() == 0


def test_replay_over_rest(tmp_path: Path) -> None:
    for _ in range(3):
        seed_study(tmp_path, 1)
    client = bearer("administrator")

    def call(method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        content = b"" if body is None else json.dumps(body).encode()
        answer = client.generic(method, f"/api/v1/{path}", content, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else {}

    assert call("POST", "rules", {"name": "all", "destinations": ["one"], "conditions": ["Modality=CT or Modality=MR"]})[0] == 201
    assert call("POST", "rule-sets", {"note": "try"})[0] == 201
    tree = {
        "name": "more",
        "destinations": ["two"],
        "conditions": [{"any": [{"keyword": "Modality", "operator": "equals", "value": "CT"}]}],
    }
    status, refused = call("POST", "rules", {**tree, "draft": True, "expected": 7})
    assert (status, refused["error"]["code"], refused["error"]["details"]["current"]) == (409, "conflict", 1)  # type: ignore[index]
    assert call("POST", "rules", {**tree, "draft": True, "expected": 1})[0] == 201
    status, ordered = call("POST", "rule-replays", {"days": 1})
    assert (status, ordered["state"]) == (202, "waiting")
    work.run_replay.func(ordered["id"])
    _, done = call("GET", f"rule-replays/{ordered['id']}")
    assert (done["state"], done["done"], done["result"]["changed"]) == ("done", 3, 3)  # type: ignore[index]
    _, differs = call("GET", "rule-sets/draft/changes")
    assert [(one["name"], one["kind"]) for one in differs["items"]] == [("more", "added")]  # type: ignore[attr-defined]
    _, stopped = call("POST", "rule-replays", {"days": 1})
    assert call("DELETE", f"rule-replays/{stopped['id']}")[0] == 202
    work.run_replay.func(stopped["id"])
    assert Replay.objects.get(pk=stopped["id"]).state == "cancelled"
    assert call("POST", "rule-sets/draft/activate", {"expected": 2})[1]["version"] == 2
    assert call("POST", "rule-sets/1/activate", {})[1]["note"] == "back to version 1"
    assert [rule["name"] for rule in call("GET", "rules")[1]["items"]] == ["all"]  # type: ignore[attr-defined]
    assert [rule["name"] for rule in call("GET", "rules?version=2")[1]["items"]] == ["all", "more"]  # type: ignore[attr-defined]
    assert call("POST", "rule-sets/draft/activate", {})[0] == 404
    assert call("PATCH", "rules/all", {"priority": 100, "conditions": ["Modality=CT"], "expected": 3})[1]["when"] == [
        "Modality=CT"
    ]


def test_release_over_rest(tmp_path: Path) -> None:
    study = seed_study(tmp_path, 2)
    rules.add("none", quarantine="nothing leaves")
    rules.add("all", to=["one"])
    work.route_arrived.func(str(study.batch_id))
    client = bearer("administrator")
    held = client.get("/api/v1/held").json()["items"]
    assert [one["reason"] for one in held] == ["nothing leaves"] * 2
    body = {"ids": [held[0]["id"]], "reason": "checked"}
    assert client.post("/api/v1/held/release", body, content_type="application/json").json() == {"instances": 1}
    assert Delivery.objects.count() == 1
    assert client.post("/api/v1/held/release", body, content_type="application/json").status_code == 404
    why = client.get(f"/api/v1/decisions?study={study.uid}").json()["items"]
    assert {one["rule_name"] for one in why} == {"none", "all"}
    assert (
        client.post("/api/v1/rule-trials", {"study_instance_uid": study.uid}, content_type="application/json").json()["kept_back"]
        == 2
    )
