"""The ledger by study and destination over REST: counts, filters, pages, who sees what; retrying no more than one may."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import PASSWORD, bearer, person
from tests.gantry.main.test_api_lists import counted

from gantry.accounts import institutes, tokens
from gantry.accounts.models import Belonging
from gantry.audit.record import SYSTEM
from gantry.nodes.models import Node
from gantry.transfers.models import Delivery

pytestmark = pytest.mark.django_db
BY_STUDY = "/api/v1/deliveries/by-study"


@pytest.fixture
def ledger() -> dict[str, Any]:
    """Three studies of four instances to two nodes. To `one`: all dead, all confirmed, mixed; to `two`: all waiting."""
    one, two = stored.node("one"), stored.node("two")
    rows = {uid: stored.study(uid, instances=4, patient_name=f"Doe^{uid}") for uid in ("1.2.1", "1.2.2", "1.2.3")}
    for uid, status in (("1.2.1", "dead"), ("1.2.2", "confirmed"), ("1.2.3", "waiting")):
        stored.deliveries(rows[uid], one, status)
        stored.deliveries(rows[uid], two, "waiting")
    mixed = list(Delivery.objects.filter(study=rows["1.2.3"], node=one).order_by("pk"))
    for row, status in zip(mixed, ("confirmed", "failed", "held", "waiting"), strict=True):
        Delivery.objects.filter(pk=row.pk).update(status=status, error="refused (check it)" if status == "failed" else "")
    Delivery.objects.filter(study=rows["1.2.1"]).update(rule_name="ct")
    return rows


def items(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{BY_STUDY}?{query}")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def lines(client: Client, query: str = "") -> list[tuple[str, str]]:
    return [(one["study"]["study_instance_uid"], place["node"]) for one in items(client, query) for place in one["destinations"]]


def test_counts_by_state_newest_study_first(ledger: dict[str, Any]) -> None:
    found = items(bearer())
    assert [one["study"]["study_instance_uid"] for one in found] == ["1.2.3", "1.2.2", "1.2.1"]
    mixed = found[0]["destinations"][0]
    assert {name: mixed[name] for name in ("node", "total", "confirmed", "failed", "held", "waiting", "dead")} == {
        "node": "one", "total": 4, "confirmed": 1, "failed": 1, "held": 1, "waiting": 1, "dead": 0,
    }  # fmt: skip
    assert mixed["error"] == "refused (check it)"
    assert found[2]["destinations"][0]["rule_names"] == ["ct"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=dead", [("1.2.1", "one")]),
        ("status=held&status=dead", [("1.2.3", "one"), ("1.2.1", "one")]),
        ("node=two&status=waiting", [("1.2.3", "two"), ("1.2.2", "two"), ("1.2.1", "two")]),
        ("rule_name=ct", [("1.2.1", "one"), ("1.2.1", "two")]),
        ("study_instance_uid=1.2.2&node=one", [("1.2.2", "one")]),
        ("node=one'%20OR%20TRUE%20--", []),
        ("study_instance_uid=1.2.9", []),
    ],
)
def test_filters(ledger: dict[str, Any], query: str, expected: list[tuple[str, str]]) -> None:
    assert lines(bearer(), query) == expected


def test_what_cannot_be_is_refused(ledger: dict[str, Any]) -> None:
    client = bearer()
    for query in ("status=gone", "limit=0", "limit=1001", "cursor=x"):
        assert client.get(f"{BY_STUDY}?{query}").status_code == 422, query


def test_pages_have_no_gap_and_the_number_of_queries_does_not_grow(
    ledger: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = bearer()
    items(client)  # the first request notes the use of the token
    seen: list[str] = []
    path = f"{BY_STUDY}?limit=1"
    counts = set()
    while path:
        with counted(monkeypatch) as queries:
            answer = client.get(path).json()
        counts.add(len(queries))
        seen += [one["study"]["study_instance_uid"] for one in answer["items"]]
        path = (answer["next"] or "").removeprefix("http://testserver")
    assert seen == ["1.2.3", "1.2.2", "1.2.1"]
    with counted(monkeypatch) as queries:
        items(client)
    assert counts == {len(queries)}
    assert len(queries) <= 8


def member(name: str, role: str, study: Any, **narrow: Any) -> Client:
    """A person of an institute that has this study alone."""
    place = institutes.add(name.upper(), SYSTEM)
    Belonging.objects.create(study_id=study.pk, institute=place)
    user = person("none", username=name)
    institutes.set_member(place.name, name, role, SYSTEM)
    return Client(headers={"authorization": f"Bearer {tokens.create(user, 't', **narrow)[1]}"})


def test_an_institute_sees_its_studies_and_a_viewer_initials(ledger: dict[str, Any]) -> None:
    found = items(member("a", "viewer", ledger["1.2.1"]))
    assert [one["study"]["study_instance_uid"] for one in found] == ["1.2.1"]
    assert found[0]["study"]["patient_name"] == "D.1."
    assert found[0]["study"]["patient_id"] == ""


@pytest.mark.parametrize("by", ["session", "token"])
def test_retry_by_ids_is_narrowed_to_what_one_may_see(ledger: dict[str, Any], by: str) -> None:
    Delivery.objects.filter(study=ledger["1.2.2"]).update(status="dead")
    token = member("a", "operator", ledger["1.2.1"])
    client = token
    if by == "session":
        client = Client()
        assert client.login(username="a", password=PASSWORD)
    everything = list(Delivery.objects.filter(status="dead").values_list("pk", flat=True))
    assert len(everything) == 12

    def retry(**body: Any) -> int:
        answer = client.post("/api/v1/deliveries/retry", body, content_type="application/json")
        assert answer.status_code == 200, answer.content
        return int(answer.json()["queued"])

    assert retry(ids=everything) == 4
    assert set(Delivery.objects.filter(status="dead").values_list("study__study_instance_uid", flat=True)) == {"1.2.2"}
    assert retry() == retry(node="one") == retry(ids=everything) == 0, "of others nothing, however it is asked for"


def test_a_token_for_a_node_touches_no_other(ledger: dict[str, Any]) -> None:
    Delivery.objects.filter(node__name="two").update(status="dead")
    client = bearer("operator", nodes=["one"])

    def post(act: str, body: dict[str, str]) -> Any:
        return client.post(f"/api/v1/deliveries/{act}", body, content_type="application/json")

    assert post("retry", {}).json() == {"queued": 5}
    assert Delivery.objects.filter(status="dead", node__name="two").count() == 12
    hold = {"study_instance_uid": "1.2.3", "reason": "wait"}
    assert post("hold", hold).status_code == 403
    assert post("hold", {**hold, "node": "one"}).status_code == 200
    assert {node for _, node in lines(client)} == {"one"}
    assert {row["node"] for row in client.get("/api/v1/deliveries").json()["items"]} == {"one"}
    assert client.get("/api/v1/destinations/two").status_code == 403


def test_a_destination_with_its_week_and_its_errors(ledger: dict[str, Any]) -> None:
    Node.objects.filter(name="one").update(bandwidth="Mon-Fri 22:00-06:00 off; Mon 08:00-09:00 8 Mbit/s")
    found = bearer().get("/api/v1/destinations/one").json()
    assert (found["waiting"], found["failed"], found["held"], found["dead"]) == (1, 1, 1, 4)
    assert [one["error"] for one in found["errors"] if one["status"] == "failed"] == ["refused (check it)"]
    week = {day: [(one["begin"], one["end"], one["limit"]) for one in found["week"] if one["day"] == day] for day in range(7)}
    assert week[0] == [(0, 480, None), (480, 540, 1e6), (540, 1320, None), (1320, 1440, 0)]
    assert week[1] == [(0, 360, 0), (360, 1320, None), (1320, 1440, 0)]
    assert week[5] == [(0, 360, 0), (360, 1440, None)], "Friday's window ends on Saturday morning"
    assert week[6] == [(0, 1440, None)]
    assert bearer("viewer").get("/api/v1/destinations/none").status_code == 404
