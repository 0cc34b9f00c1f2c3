"""Routes around the search: facets, saved searches, sending, history; who sees what of them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer, person

from gantry.accounts import institutes
from gantry.accounts.models import Belonging, Institute, User
from gantry.audit.record import SYSTEM

pytestmark = pytest.mark.django_db

JSON: dict[str, Any] = {"content_type": "application/json"}


def client_of(user: User) -> Any:
    from django.test import Client

    from gantry.accounts import tokens

    return Client(headers={"authorization": f"Bearer {tokens.create(user, 'test')[1]}"})


def member(name: str, institute: str, role: str = "clinician") -> Any:
    """A client of somebody who is only in that institute."""
    user = person("none", username=name)
    institutes.set_member(institute, name, role, SYSTEM)
    return client_of(user)


def test_saved_searches_are_own_or_of_the_institute() -> None:
    for name in ("West", "East"):
        institutes.add(name, SYSTEM)
    anna, bert, eva = member("anna", "West"), member("bert", "West"), member("eva", "East")
    mine = anna.post("/api/v1/saved-searches", {"name": "mine", "search": {"q": "CT"}}, **JSON)
    shared = anna.post("/api/v1/saved-searches", {"name": "ours", "search": {"q": "today"}, "institute": "West"}, **JSON)
    assert (mine.status_code, shared.status_code) == (201, 201)

    def names(client: Any) -> list[str]:
        return [one["name"] for one in client.get("/api/v1/saved-searches").json()["items"]]

    assert (names(anna), names(bert), names(eva)) == (["mine", "ours"], ["ours"], [])
    again = anna.post("/api/v1/saved-searches", {"name": "mine", "search": {}}, **JSON)
    elsewhere = eva.post("/api/v1/saved-searches", {"name": "x", "search": {}, "institute": "West"}, **JSON)
    assert (again.status_code, elsewhere.status_code) == (409, 404)
    path = f"/api/v1/saved-searches/{shared.json()['id']}"
    assert [client.patch(path, {"name": "z"}, **JSON).status_code for client in (eva, bert, anna)] == [404, 403, 200]
    assert names(bert) == ["z"]
    assert [client.delete(path).status_code for client in (bert, anna, anna)] == [403, 204, 404]
    assert names(anna) == ["mine"]


@pytest.mark.parametrize(
    "body", [{"name": " ", "search": {}}, {"name": "x", "search": {"Q!": ""}}, {"name": "x", "search": {"q": "x" * 2000}}]
)
def test_impossible_saved_searches_are_refused(body: dict[str, Any]) -> None:
    assert bearer("viewer").post("/api/v1/saved-searches", body, **JSON).status_code == 422


def test_facets_and_what_was_understood() -> None:
    stored.study("1.2.3")
    answer = bearer("clinician").get("/api/v1/study-facets?q=doe 2024 name:x").json()
    assert [(term["kind"], term["start"], term["searched"]) for term in answer["understood"]] == [
        ("text", 0, True), ("date", 4, True), ("name", 9, True),
    ]  # fmt: skip
    hidden = bearer("viewer").get("/api/v1/study-facets?q=name:doe").json()
    assert (hidden["total"], hidden["understood"][0]["searched"]) == (0, False)
    assert bearer("viewer").get("/api/v1/studies?sort=name").status_code == 403
    assert bearer("viewer").get("/api/v1/studies?state=sold").status_code == 422


@pytest.mark.parametrize(("asked", "counted"), [("modality", ["modality"]), ("state,dated", ["state", "dated"]), ("total", [])])
def test_only_facets_that_are_asked_are_counted(asked: str, counted: list[str]) -> None:
    stored.study("1.2.3")
    answer = bearer("clinician").get(f"/api/v1/study-facets?facet={asked}").json()
    assert (answer["total"], [facet["name"] for facet in answer["facets"]]) == (1, counted)
    assert bearer("clinician").get("/api/v1/study-facets?facet=colour").status_code == 422


def test_institutes_are_told_to_those_who_are_in_them() -> None:
    study = stored.study("1.2.3")
    for name in ("West", "East"):
        institutes.add(name, SYSTEM)
        Belonging.objects.create(institute=Institute.objects.get(name=name), study_id=study.pk)
    for client, told in ((bearer("clinician"), {"West", "East"}), (member("anna", "West"), {"West"})):
        facets = {one["name"]: one["values"] for one in client.get("/api/v1/study-facets").json()["facets"]}
        assert {one["value"] for one in facets["institute"]} == told


def test_a_study_is_sent_once_to_each_node() -> None:
    stored.study("1.2.3", instances=3)
    stored.node("archive")
    client = bearer("clinician")
    body = {"study_instance_uid": "1.2.3", "nodes": ["archive"]}
    first, second = (client.post("/api/v1/deliveries", body, **JSON) for _ in range(2))
    assert (first.status_code, first.json()["instances"], first.json()["nodes"]) == (202, 3, [{"node": "archive", "ordered": 3}])
    assert second.json()["nodes"] == [{"node": "archive", "ordered": 0}]
    assert client.post("/api/v1/deliveries", {**body, "study_instance_uid": "9.9"}, **JSON).status_code == 404
    assert client.post("/api/v1/deliveries", {**body, "nodes": ["nowhere"]}, **JSON).status_code == 404
    assert bearer("viewer").post("/api/v1/deliveries", body, **JSON).status_code == 403


def test_history_tells_what_happened_to_those_who_may_know() -> None:
    study, node = stored.study("1.2.3", instances=2), stored.node("archive")
    stored.deliveries(study, node, "confirmed")
    operator, administrator = bearer("operator"), bearer("administrator")
    administrator.put("/api/v1/studies/1.2.3/protection")
    administrator.get("/api/v1/studies/1.2.3")

    def told(client: Any) -> list[tuple[str, str]]:
        return [(one["kind"], one["what"]) for one in client.get("/api/v1/studies/1.2.3/history").json()["items"]]

    assert ("delivery", "archive") in told(operator)
    assert ("act", "study.protect") in told(operator)
    assert ("act", "study.view") not in told(operator)
    assert {("act", "study.view"), ("act", "study.protect"), ("received", "MODALITY")} <= set(told(administrator))
    assert {kind for kind, _ in told(bearer("researcher"))} == {"received"}
    narrow = bearer("operator", nodes=["other"])
    assert ("delivery", "archive") not in told(narrow)
    institutes.add("West", SYSTEM)
    assert member("anna", "West").get("/api/v1/studies/1.2.3/history").status_code == 404
    assert b"Doe" not in administrator.get("/api/v1/studies/1.2.3/history").content
