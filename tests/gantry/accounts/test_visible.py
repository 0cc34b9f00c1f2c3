"""Which studies: roles everywhere and in institutes, groups, grants; how much of a patient; in few queries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import bearer, person

from gantry.accounts import explain, institutes, tokens, visible
from gantry.accounts.actors import actor_of_token, actor_of_user
from gantry.accounts.models import Belonging, Grant, Token
from gantry.audit.record import SYSTEM
from gantry.catalogue.access import initials_of

pytestmark = pytest.mark.django_db
ALL = ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]


@pytest.fixture
def place() -> dict[str, Any]:
    """Four studies: A has the first two, B the third, nobody the fourth."""
    rows = {uid: stored.study(uid) for uid in ALL}
    a, b = institutes.add("A", SYSTEM), institutes.add("B", SYSTEM)
    Belonging.objects.bulk_create(
        Belonging(study_id=rows[uid].pk, institute=place) for uid, place in (("1.2.1", a), ("1.2.2", a), ("1.2.3", b))
    )
    return rows


def member(name: str, role: str = "none", **places: str) -> Any:
    user = person(role, username=name)
    for place, there in places.items():
        institutes.set_member(place, name, there, SYSTEM)
    return user


def client_of(user: Any, **narrow: Any) -> Client:
    return Client(headers={"authorization": f"Bearer {tokens.create(user, 't', **narrow)[1]}"})


def shown(client: Client) -> list[str]:
    return sorted(item["study_instance_uid"] for item in client.get("/api/v1/studies").json()["items"])


def test_a_role_that_holds_everywhere_sees_everything(place: dict[str, Any]) -> None:
    assert shown(bearer("viewer")) == ALL


def test_a_role_in_an_institute_sees_its_studies(place: dict[str, Any]) -> None:
    assert shown(client_of(member("a", A="clinician"))) == ["1.2.1", "1.2.2"]
    assert shown(client_of(member("ab", A="clinician", B="viewer"))) == ["1.2.1", "1.2.2", "1.2.3"]
    institutes.change("B", SYSTEM, all_studies=True)
    assert shown(client_of(member("b", B="viewer"))) == ALL


def test_without_any_role_nothing_is_allowed(place: dict[str, Any]) -> None:
    client = client_of(member("nobody"))
    assert client.get("/api/v1/studies").status_code == 403
    Grant.objects.create(study_id=place["1.2.4"].pk, user_id=Token.objects.get().user_id)
    assert client.get("/api/v1/studies").status_code == 403


@pytest.mark.parametrize("few", [4000, 0])
def test_grants_to_a_person_a_group_an_institute(place: dict[str, Any], few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visible, "FEW", few)
    user = member("b", B="viewer")
    client = client_of(user)
    assert shown(client) == ["1.2.3"]
    study = (place["1.2.4"].pk, "1.2.4")
    for to in ({"user": user}, {"institute": institutes.find("B")}):
        row = institutes.grant(study, SYSTEM, **to)  # type: ignore[arg-type]
        assert shown(client) == ["1.2.3", "1.2.4"]
        institutes.end_grant(row.pk, SYSTEM)
        assert shown(client) == ["1.2.3"]
    group = institutes.set_group("B", "board", [], SYSTEM)
    institutes.grant(study, SYSTEM, group=group)
    assert shown(client) == ["1.2.3"]
    institutes.set_in_group("B", "board", "b", SYSTEM, member=True)
    assert shown(client) == ["1.2.3", "1.2.4"]
    Grant.objects.update(until=timezone.now() - timedelta(hours=1))  # now() of the database is that of the transaction
    assert shown(client) == ["1.2.3"]


@pytest.mark.parametrize("few", [4000, 0])
def test_everything_else_obeys_it_too(place: dict[str, Any], few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visible, "FEW", few)
    client = client_of(member("a", A="clinician"))
    for uid, status in (("1.2.1", 200), ("1.2.3", 404)):
        for route in (f"studies/{uid}", f"series/{uid}.1", f"instances/{uid}.1.1"):
            assert client.get(f"/api/v1/{route}").status_code == status, route
    assert client.get("/api/v1/instances/1.2.3.1.1/file").status_code == 404
    assert {one["study_instance_uid"] for one in client.get("/api/v1/series").json()["items"]} == {"1.2.1", "1.2.2"}
    assert {one["study_instance_uid"] for one in client.get("/api/v1/instances").json()["items"]} == {"1.2.1", "1.2.2"}


def test_a_session_is_in_one_institute_a_token_in_all(place: dict[str, Any]) -> None:
    user = member("ab", A="clinician", B="viewer")
    session = Client()
    session.force_login(user)
    assert shown(session) == ["1.2.1", "1.2.2"]
    answer = session.put("/api/v1/session/institute", {"name": "b"}, content_type="application/json")
    assert answer.status_code == 200
    assert answer.json()["institute"] == "B"
    assert "studies.download" not in answer.json()["actions"]
    assert shown(session) == ["1.2.3"]
    assert shown(client_of(user)) == ["1.2.1", "1.2.2", "1.2.3"]
    assert shown(client_of(user, institutes=["a"])) == ["1.2.1", "1.2.2"]
    assert session.put("/api/v1/session/institute", {"name": "C"}, content_type="application/json").status_code == 404
    institutes.remove_member("B", "ab", SYSTEM)
    assert shown(session) == ["1.2.1", "1.2.2"]


def test_a_token_for_an_institute_narrows_a_role_that_holds_everywhere(place: dict[str, Any]) -> None:
    assert shown(client_of(person("operator"), institutes=["B"])) == ["1.2.3"]
    token = Token.objects.select_related("user").get()
    assert actor_of_token(token).role == "none"


def test_a_group_gives_more_in_its_institute_only(place: dict[str, Any]) -> None:
    user = member("ab", A="viewer", B="viewer")
    client = client_of(user)
    assert client.get("/api/v1/instances/1.2.3.1.1/file").status_code == 403
    institutes.set_group("B", "readers", ["studies.download"], SYSTEM)
    institutes.set_in_group("B", "readers", "ab", SYSTEM, member=True)
    assert client.get("/api/v1/instances/1.2.3.1.1/file").status_code == 500, "it is let in; the file is not there"
    assert client.get("/api/v1/instances/1.2.1.1.1/file").status_code == 404
    with pytest.raises(institutes.Invalid):
        institutes.set_group("B", "readers", ["people.edit"], SYSTEM)


@pytest.mark.parametrize(
    ("role", "level", "name", "accession"),
    [("clinician", "full", "Doe^Jane", "A1"), ("viewer", "initials", "D.J.", "A1"), ("researcher", "none", "", "")],
)
def test_how_much_of_a_patient_is_shown(role: str, level: str, name: str, accession: str) -> None:
    stored.study("1.2.9", patient_birth_date="1957-03-04", patient_sex="F")
    client = bearer(role)
    for item in (client.get("/api/v1/studies").json()["items"][0], client.get("/api/v1/studies/1.2.9").json()):
        assert (item["patient_level"], item["patient_name"], item["accession_number"]) == (level, name, accession)
        assert item["patient_id"] == ("P1.2.9" if level == "full" else "")
        assert item["patient_birth_date"] == ("1957-03-04" if level == "full" else None)
        assert item["patient_birth_year"] == (1957 if level == "initials" else None)
    instance = client.get("/api/v1/instances/1.2.9.1.1").json()
    assert instance["header"] == ({"PatientName": "Doe^Jane"} if level == "full" else {})


def test_what_is_hidden_is_not_searched() -> None:
    stored.study("1.2.9")
    for role, found in (("clinician", 1), ("viewer", 0), ("researcher", 0)):
        client = bearer(role)
        named = client.get("/api/v1/studies?patient_name=doe*")
        if found:
            assert len(named.json()["items"]) == 1
        else:
            assert named.status_code == 403
            assert named.json()["error"]["details"] == {"action": "patients.identify"}
        assert len(client.get("/api/v1/studies?q=doe").json()["items"]) == found, role
        assert len(client.get("/api/v1/studies?q=a1").json()["items"]) == (role != "researcher")
        assert len(client.get("/api/v1/studies?q=1.2.9").json()["items"]) == 1


def test_one_person_two_institutes_two_levels(place: dict[str, Any]) -> None:
    client = client_of(member("ab", A="clinician", B="researcher"))
    levels = {one["study_instance_uid"]: one["patient_level"] for one in client.get("/api/v1/studies").json()["items"]}
    assert levels == {"1.2.1": "full", "1.2.2": "full", "1.2.3": "none"}
    found = client.get("/api/v1/studies?patient_name=doe*").json()["items"]
    assert sorted(one["study_instance_uid"] for one in found) == ["1.2.1", "1.2.2"]


def test_a_list_costs_the_same_number_of_queries(place: dict[str, Any]) -> None:
    user = member("ab", A="clinician", B="viewer")
    client = client_of(user)
    client.get("/api/v1/studies")
    with CaptureQueriesContext(
        connection,
    ) as before:
        client.get("/api/v1/studies")
    rows = [stored.study(f"1.3.{n}") for n in range(30)]
    Grant.objects.bulk_create(Grant(study_id=row.pk, user=user) for row in rows)
    for n in range(5):
        institutes.add(f"X{n}", SYSTEM)
        institutes.set_member(f"X{n}", "ab", "viewer", SYSTEM)
    with CaptureQueriesContext(connection) as after:
        assert len(shown(client)) == 33
    assert len(after) == len(before) <= 4


@pytest.mark.parametrize(
    ("name", "initials"), [("Doe^Jane^^Dr", "D.J."), ("doe", "D."), ("", ""), ("^Anna", "A."), ("Müller^Ö=x", "M.Ö.")]
)
def test_initials(name: str, initials: str) -> None:
    assert initials_of(name) == initials


def test_why_may_i_not(place: dict[str, Any]) -> None:
    user = member("a", A="viewer")
    actor = actor_of_user(user)
    assert "does not include studies.download" in explain.explain(actor, "studies.download").reason
    assert explain.explain(actor, "studies.view", "1.2.1").reason.endswith("it belongs to A")
    hidden, missing = explain.explain(actor, "studies.view", "1.2.3"), explain.explain(actor, "studies.view", "9.9")
    assert not hidden
    assert hidden.reason == missing.reason
    institutes.grant((place["1.2.3"].pk, "1.2.3"), SYSTEM, user=user)
    assert explain.explain(actor, "studies.view", "1.2.3").reason.endswith("it was granted to you")
    client = client_of(user, nodes=["pacs"])
    answer = client.get("/api/v1/session/may?action=nodes.view&node=other").json()
    assert answer == {"allowed": False, "reason": "this token is not for the node other", "action": "nodes.view"}


def test_a_token_for_one_node() -> None:
    stored.node("pacs")
    stored.node("other")
    client = client_of(person("operator"), nodes=["pacs"])
    assert client.get("/api/v1/nodes/pacs").status_code == 200
    assert client.get("/api/v1/nodes/other").status_code == 403
    assert client.post("/api/v1/nodes/other/fetch", {"uids": ["1.2"]}, content_type="application/json").status_code == 403
    assert client.get("/api/v1/session/check").json()["nodes"] == ["pacs"]
    assert client.post("/api/v1/tokens", {"name": "x", "nodes": ["other"]}, content_type="application/json").status_code == 422
    made = client.post("/api/v1/tokens", {"name": "x"}, content_type="application/json").json()
    assert made["nodes"] == ["pacs"], "a token makes no wider token"
