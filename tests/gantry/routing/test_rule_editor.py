"""What the form for rules asks the server: problems with their place, keywords, the whole draft, a dropped file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from tests.gantry.accounts.people import bearer
from tests.gantry.transfers.seed import seed_study
from tests.support import part10_files as files

from gantry.audit.models import Entry
from gantry.catalogue.models import Study
from gantry.dataset.tags import INDEXED_KEYWORDS
from gantry.routing import conditions, keywords, rules, versions
from gantry.routing.check import check
from gantry.transfers.models import Delivery

GOOD = {"name": "ct", "destinations": ["one"]}
NODES = {"one": True, "two": True, "off": False}


def leaf(keyword: str = "Modality", operator: str = "equals", value: object = "CT") -> dict[str, object]:
    return {"keyword": keyword, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"name": "no spaces"}, ["name"], "letters"),
        ({"name": 7}, ["name"], "letters"),
        ({"colour": "red"}, ["colour"], "no field"),
        ({"trigger": []}, ["trigger"], "arrived"),
        ({"priority": True}, ["priority"], "whole number"),
        ({"quiet_seconds": 5}, ["quiet_seconds"], "quiet time"),
        ({"trigger": "settled", "quiet_seconds": float("nan")}, ["quiet_seconds"], "above 0"),
        ({"hold": "yes"}, ["hold"], "true or false"),
        ({"destinations": []}, ["destinations"], "at least one"),
        ({"destinations": ["one", "nobody"]}, ["destinations", 1], "no node"),
        ({"mode": "order"}, ["mode"], "two destinations"),
        ({"mode": "sideways"}, ["mode"], "failover"),
        ({"quarantine": "no"}, ["destinations"], "nowhere else"),
        ({"edits": [{"op": "set", "tag": "InstitutionName", "value": "X"}, {"op": "set"}]}, ["edits", 1], "needs"),
        ({"edits": "all"}, ["edits"], "list"),
        ({"conditions": "Modality=CT"}, ["conditions"], "list"),
        ({"conditions": ["Modality=CT and"]}, ["conditions", 0], "missing"),
        ({"conditions": [leaf(keyword="Modalty")]}, ["conditions", 0, "keyword"], "did you mean Modality"),
        ({"conditions": [leaf(keyword="")]}, ["conditions", 0, "keyword"], "choose"),
        ({"conditions": [{"not": {"any": [leaf(), leaf("Rows", "range", ["9", "1"])]}}]},
         ["conditions", 0, "not", "any", 1, "value"], "begins after"),
        ({"conditions": [{"all": [leaf(operator="network")]}]}, ["conditions", 0, "all", 0, "operator"], "can be asked"),
        ({"conditions": [leaf(operator="regex", value="(")]}, ["conditions", 0, "value"], "regular expression"),
        ({"conditions": [leaf("time", "window", ["25:00-26:00"])]}, ["conditions", 0, "value"], "no window"),
        ({"conditions": [leaf("NumberOfStudyRelatedSeries", "equals", "2")]}, ["conditions", 0, "keyword"], "let the rule wait"),
        ({"conditions": [{"any": []}]}, ["conditions", 0, "any"], "at least one"),
        ({"conditions": [{"keyword": "Modality"}]}, ["conditions", 0], "keyword"),
    ],
)  # fmt: skip
def test_each_problem_has_its_place(changes: dict[str, Any], path: list[str | int], words: str) -> None:
    found = check([GOOD, {**GOOD, "name": "other", **changes}], NODES)
    assert [(list(one.path), one.level) for one in found.problems] == [([1, *path], "error")]
    assert words in found.problems[0].message
    assert found.rules[0] is not None
    assert found.rules[1] is None
    assert not found.valid


def test_what_is_hostile_is_told_and_not_raised() -> None:
    deep: dict[str, Any] = leaf()
    for _ in range(100):
        deep = {"not": deep}
    strange: list[Any] = [None, 7, [], {}, {"name": None}, {"name": "a", "conditions": [deep], "destinations": [{}], "edits": [[]]},
                          {**GOOD, "conditions": [leaf(value=["\0"])]}, {**GOOD, "quarantine": "\0"}]  # fmt: skip
    found = check(strange, NODES)
    assert {one.path[0] for one in found.problems} == set(range(len(strange)))
    assert not any(found.rules)


def test_names_are_taken_and_a_node_that_is_held_back_is_a_warning() -> None:
    found = check([GOOD, GOOD, {"name": "gone", "destinations": ["off"]}], NODES, {"gone"})
    assert [(one.path, one.level) for one in found.problems] == [
        ((1, "name"), "error"), ((2, "destinations", 0), "warning"), ((2, "name"), "error"),
    ]  # fmt: skip
    written = check([{**GOOD, "conditions": ["Modality=CT,MR and not StationName=X*"], "when": ["shown"]}], NODES)
    assert written.valid
    assert written.rules[0] is not None
    assert written.rules[0].when == ["Modality=CT,MR and not StationName=X*"]


def test_every_keyword_can_be_asked_what_it_says() -> None:
    values = {"range": ["1", "2"], "network": ["10.0.0.0/8"], "window": ["08:00-09:00"], "days": ["mon"]}
    words = [*INDEXED_KEYWORDS, *conditions.ENVELOPE_KEYWORDS, *conditions.STUDY_KEYWORDS, *conditions.MOMENT_KEYWORDS]
    for keyword in words:
        for operator in conditions.operators_of(keyword):
            dates = {"DA": ["20240101", "20240102"], "TM": ["01", "02"]}.get(conditions.vr_of(keyword), values["range"])
            value = dates if operator == "range" else values.get(operator, ["1"])
            rule = {**GOOD, "trigger": "settled", "conditions": [leaf(keyword, operator, value if operator != "regex" else "1")]}
            assert check([rule], NODES).problems == (), (keyword, operator)
    assert set(keywords._MEANINGS) == set(words)


@pytest.fixture
def call(three_nodes: dict[str, int]) -> Any:
    client = bearer("administrator")

    def send(method: str, path: str, body: object = None) -> tuple[int, Any]:
        content = b"" if body is None else json.dumps(body).encode()
        answer = client.generic(method, f"/api/v1/{path}", content, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else {}

    return send


@pytest.mark.django_db(transaction=True)
def test_keywords_show_values_to_those_who_may_see_studies_and_never_of_patients(tmp_path: Path, call: Any) -> None:
    header: dict[str, object] = {
        "Modality": "CT",
        "StationName": "CT-EAST",
        "PatientName": "Doe^Jane",
        "ImageType": ["ORIGINAL", "PRIMARY"],
    }
    seed_study(tmp_path, 2, header=header)
    seed_study(tmp_path, 1, header={"Modality": "MR", "StationName": " "})
    seed_study(tmp_path, 1, header={"Modality": "MR"})
    found = {one["keyword"]: one for one in call("GET", "rule-keywords")[1]["items"]}
    assert found["Modality"]["values"] == ["MR", "CT"]
    assert found["StationName"]["values"] == ["CT-EAST"]
    assert set(found["ImageType"]["values"]) == {"ORIGINAL", "PRIMARY"}
    assert found["PatientName"]["values"] == []
    assert found["weekday"]["operators"] == ["days"]
    assert found["RemoteAddress"]["of"] == "sender"
    # A token for the rules alone: what is in the studies is not its business.
    alone = bearer("administrator", actions=["rules.view"]).get("/api/v1/rule-keywords").json()["items"]
    assert {one["keyword"]: one["values"] for one in alone}["Modality"] == []


@pytest.mark.django_db(transaction=True)
def test_the_whole_draft_is_written_and_two_people_notice_each_other(call: Any) -> None:
    for name in ("a", "b", "c"):
        rules.add(name, to=["one"])
    assert call("POST", "rule-checks", {"rules": [GOOD | {"name": "a"}], "version": "active"})[1]["problems"][0]["path"] == [
        0,
        "name",
    ]
    assert call("POST", "rule-checks", {"rules": [GOOD | {"name": "a"}], "version": "active", "replaces": "a"})[1]["valid"]
    assert call("PUT", "rule-sets/active/rules", {"rules": []})[0] == 404
    assert call("POST", "rule-sets", {})[1]["revision"] == 1
    before = call("GET", "rules?version=draft")[1]["items"]
    moved = [before[2], before[0], {**before[1], "name": "bb"}]
    assert call("PUT", "rule-sets/draft/rules", {"rules": moved, "renamed": {"bb": "b"}, "expected": 1})[1]["revision"] == 2
    after = call("GET", "rules?version=draft")[1]["items"]
    assert [one["name"] for one in after] == ["c", "a", "bb"]
    assert [one["created_at"] for one in after] == [one["created_at"] for one in (before[2], before[0], before[1])]
    status, refused = call("PATCH", "rules/a", {"priority": 7, "draft": True, "expected": 1})
    assert status == 409
    details = refused["error"]["details"]
    assert (details["current"], details["changes"], details["who"]) == (2, ["bb: added", "b: removed"], ["administrator"])
    assert details["when"] == details["edits"][0]["when"]
    assert details["edits"][0]["rules"] == ["bb", "b"]
    status, refused = call("PUT", "rule-sets/draft/rules", {"rules": [{**GOOD, "priority": -1}], "expected": 2})
    assert (status, refused["error"]["details"][0]["where"]) == (422, "rules.0.priority")
    assert call("PUT", "rule-sets/draft/rules", {"rules": [{**GOOD, "destinations": ["nobody"]}], "expected": 2})[0] == 404
    assert [rule.name for rule in rules.list_rules("draft")] == ["c", "a", "bb"]
    # Who saw a draft that was thrown away does not write into the next one.
    assert call("DELETE", "rule-sets/draft")[0] == 204
    assert call("POST", "rule-sets", {})[1]["revision"] == 3
    for seen in (1, 2):
        status, refused = call("PATCH", "rules/a", {"priority": 7, "draft": True, "expected": seen})
        assert (status, refused["error"]["details"]["who"]) == (409, ["administrator"])
    assert call("PATCH", "rules/a", {"priority": 7, "draft": True, "expected": 3})[0] == 200


@pytest.mark.django_db(transaction=True)
def test_a_dropped_file_is_tried_and_not_kept(tmp_path: Path, three_nodes: dict[str, int]) -> None:
    (path,) = files.write_series(tmp_path, 1)
    whole = path.read_bytes()
    edit = [{"op": "set", "tag": "InstitutionName", "value": "X"}]
    rules.add("ct", to=["one"], when=["Modality=CT", "CallingAET=CT*"], edits=edit)
    rules.add("mr", to=["two"], when=["Modality=MR"])
    client = bearer("administrator")

    def send(content: bytes, **fields: str) -> tuple[int, Any]:
        answer = client.post("/api/v1/rule-trials/file", {"file": SimpleUploadedFile("f.dcm", content), **fields})
        return answer.status_code, answer.json()

    status, found = send(whole, calling_aet="CT7")
    assert (status, found["destinations"], found["cut"]) == (200, {"one": 1}, False)
    assert [(one["rule"], one["matched"]) for one in found["rules"]] == [("ct", 1), ("mr", 0)]
    assert found["rules"][0]["differences"] == [{"path": "InstitutionName", "before": None, "after": "X"}]
    assert found["rules"][1]["conditions"] == [{"condition": "Modality=MR", "held": False, "seen": "CT", "problem": ""}]
    # The beginning of a large file: the same without the edits.
    status, head = send(whole[:-200], calling_aet="CT7", size=str(len(whole)))
    assert (status, head["destinations"], head["cut"], head["rules"][0]["differences"]) == (200, {"one": 1}, True, [])
    status, refused = send(b"hello, this is no DICOM file at all")
    assert (status, refused["error"]["code"]) == (422, "bad_rule")
    assert send(b"")[0] == 422
    assert send(whole, version="draft")[0] == 404
    assert bearer("operator").post("/api/v1/rule-trials/file", {"file": SimpleUploadedFile("f.dcm", whole)}).status_code == 403
    assert Study.objects.count() == Delivery.objects.count() == 0
    assert Entry.objects.filter(act="rules.try").count() >= 2
    assert versions.active() is not None
