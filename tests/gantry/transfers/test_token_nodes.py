"""A token for one node is held to it wherever a node is named or implied; rows of other nodes are not shown to it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import person

from gantry.accounts import tokens
from gantry.main import openapi
from gantry.transfers.models import Attempt, Delivery

pytestmark = pytest.mark.django_db
STUDY = "1.2.3"
#: The routes that name or imply a node: what is asked of the other node is refused.
REFUSED: list[tuple[str, str, Any]] = [
    ("GET", "/nodes/{name}", None),
    ("PATCH", "/nodes/{name}", {"enabled": False}),
    ("DELETE", "/nodes/{name}", None),
    ("POST", "/nodes/{name}/echo", {}),
    ("POST", "/nodes/{name}/find", {"level": "study", "keys": {"PatientID": "1"}}),
    ("POST", "/nodes/{name}/fetch", {"uids": [STUDY]}),
    ("GET", "/nodes/{name}/fetch", None),
    ("GET", "/nodes/{name}/fetch/{fetch_id}", None),
    ("DELETE", "/nodes/{name}/fetch/{fetch_id}", None),
    ("POST", "/nodes/{name}/probe", {}),
    ("GET", "/nodes/{name}/profile", None),
    ("GET", "/nodes/{name}/security", None),
    ("GET", "/destinations/{name}", None),
    ("POST", "/deliveries", {"study_instance_uid": STUDY, "nodes": ["pacs", "other"]}),
    ("POST", "/deliveries/hold", {"study_instance_uid": STUDY, "node": "other", "reason": "x"}),
    ("POST", "/deliveries/release", {"study_instance_uid": STUDY, "node": "other"}),
    ("POST", "/deliveries/recall", {"study_instance_uid": STUDY, "node": "other", "reason": "x"}),
    ("POST", "/deliveries/resend", {"study_instance_uid": STUDY, "node": "other", "reason": "x"}),
    ("POST", "/deliveries/retry", {"node": "other"}),
    ("POST", "/nodes", {"name": "other2", "address": "OTHER@127.0.0.1:104"}),
    ("POST", "/node-tests", {"name": "other", "address": "OTHER@127.0.0.1:104"}),
    ("POST", "/node-tests", {"name": "pacs", "like": "other", "address": "OTHER@127.0.0.1:104"}),
    # Rules name any node.
    ("GET", "/rules", None),
    ("POST", "/rules", {"name": "r", "to": ["other"]}),
    ("GET", "/rules/{name}", None),
    ("PATCH", "/rules/{name}", {"to": ["other"]}),
    ("POST", "/rule-checks", {"rules": []}),
    ("POST", "/rule-trials", {"study_instance_uid": STUDY}),
    ("POST", "/rule-trials/file", None),
    # In all queues would be in that of the other node too.
    ("POST", "/deliveries/hold", {"study_instance_uid": STUDY, "reason": "x"}),
    ("POST", "/deliveries/release", {"study_instance_uid": STUDY}),
    ("POST", "/deliveries/recall", {"study_instance_uid": STUDY, "reason": "x"}),
    ("POST", "/deliveries/resend", {"study_instance_uid": STUDY, "reason": "x"}),
]
#: Lists: the rows of its node, and no others.
NARROWED = [
    "/nodes", "/overview", "/deliveries", f"/deliveries?study_instance_uid={STUDY}", "/deliveries?node=other", "/deliveries/by-study", "/destinations",
    f"/studies/{STUDY}/receipt", f"/deliveries/attempts?study_instance_uid={STUDY}",
]  # fmt: skip
#: They take or show nodes, and are not about what this token may do with them.
OTHERS = {
    "GET /session/check", "GET /session/may", "GET /tokens", "POST /tokens", "DELETE /tokens/{token_id}",
    "GET /users/tokens/all", "DELETE /users/tokens/{token_id}",
}  # fmt: skip
_NODE = {"node", "nodes", "destinations"}


@pytest.fixture
def client() -> Client:
    """Of an administrator's token for one of two nodes; a study goes to both."""
    study = stored.study(STUDY)
    for name in ("pacs", "other"):
        node = stored.node(name)
        stored.deliveries(study, node, "dead")
        Attempt.objects.create(
            study=study, node=node, key=uuid4(), number=1, outcome="refused", error="no", count=1, dead=1, delivery_ids=[],
            began_at=study.first_received_at, ended_at=study.first_received_at,
        )  # fmt: skip
    plain = tokens.create(person("administrator"), "t", nodes=["pacs"])[1]
    return Client(headers={"authorization": f"Bearer {plain}"})


def ask(client: Client, method: str, path: str, body: Any = None) -> Any:
    url = "/api/v1" + path.format(name="other", fetch_id="6dd1d1b8-7a2f-4f0c-9f0e-1d0e8a6f7c11")
    return client.generic(method, url, "" if body is None else json.dumps(body), content_type="application/json")


@pytest.mark.parametrize(("method", "path", "body"), REFUSED)
def test_of_the_other_node_nothing_is_done(client: Client, method: str, path: str, body: Any) -> None:
    answer = ask(client, method, path, body)
    assert answer.status_code == 403, answer.content
    assert set(Delivery.objects.values_list("status", flat=True)) == {"dead"}


@pytest.mark.parametrize("path", NARROWED)
def test_rows_of_the_other_node_are_not_shown(client: Client, path: str) -> None:
    answer = ask(client, "GET", path)
    if answer.status_code != 403:
        assert answer.status_code == 200, answer.content
        assert '"other"' not in answer.content.decode()
        assert "node=other" in path or '"pacs"' in answer.content.decode()


def test_retry_without_a_node_is_of_its_own(client: Client) -> None:
    assert ask(client, "POST", "/deliveries/retry", {}).json() == {"queued": 1}
    assert list(Delivery.objects.order_by("node__name").values_list("node__name", "status")) == [
        ("other", "dead"),
        ("pacs", "waiting"),
    ]


def test_steering_of_its_own_node_works(client: Client) -> None:
    body = {"study_instance_uid": STUDY, "node": "pacs", "reason": "lost"}
    assert ask(client, "POST", "/deliveries/resend", body).json() == {"changed": 1, "under_way": 0}
    assert ask(client, "POST", "/deliveries", {"study_instance_uid": STUDY, "nodes": ["pacs"]}).status_code == 202


def test_the_tables_name_every_route_about_nodes() -> None:
    """So that nobody makes a new one and forgets the tokens that are for some nodes only."""
    document = json.loads(openapi.document())
    named = {f"{method} {path}" for method, path, _ in REFUSED} | {f"GET {path.partition('?')[0]}" for path in NARROWED} | OTHERS
    named = {one.replace(STUDY, "{uid}") for one in named}
    found = set()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if "/nodes/" in path or "/destinations" in path or _speaks_of_nodes(route, document["components"]["schemas"]):
                found.add(f"{method.upper()} {path.removeprefix('/api/v1')}")
    assert found - named == set()


def _speaks_of_nodes(route: dict[str, Any], schemas: dict[str, Any]) -> bool:
    if any(parameter["name"] in _NODE for parameter in route.get("parameters", ())):
        return True
    seen: set[str] = set()
    todo = [json.dumps(route)]
    while todo:
        text = todo.pop()
        for name, schema in schemas.items():
            if name not in seen and f'"#/components/schemas/{name}"' in text:
                seen.add(name)
                todo.append(json.dumps(schema))
    return any(_NODE & set(schemas[name].get("properties", {})) for name in seen)
