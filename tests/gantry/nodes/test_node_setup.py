"""What the pages of nodes ask the server: a test before saving, security, the kept profile, certificates, fetches."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from tests.gantry.accounts.people import bearer
from tests.gantry.nodes.pacs import Pacs
from tests.support.certificates import Authority

from dimse.tls import TlsFiles, server_context
from gantry.nodes import registry
from gantry.nodes.certificates import ends
from gantry.nodes.items import Security
from gantry.nodes.models import Fetch, Node
from gantry.nodes.probe import probe

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def call() -> Any:
    client = bearer("administrator")

    def send(method: str, path: str, body: object = None) -> tuple[int, Any]:
        content = b"" if body is None else json.dumps(body).encode()
        answer = client.generic(method, f"/api/v1/{path}", content, content_type="application/json")
        return answer.status_code, answer.json() if answer.content else {}

    return send


def test_a_node_is_tested_before_it_is_saved(call: Any, tmp_path: Path) -> None:
    with Pacs() as pacs:
        address = str(pacs.target().address)
        status, found = call("POST", "node-tests", {"address": address})
        assert (status, found["ok"], found["dimse_status"]) == (200, True, 0)
    status, gone = call("POST", "node-tests", {"address": address, "connect_seconds": 2})
    assert (status, gone["ok"]) == (200, False)
    assert gone["message"]
    assert gone["remedy"]
    status, folder = call("POST", "node-tests", {"address": f"folder:{tmp_path}"})
    assert (status, folder["ok"], list(tmp_path.iterdir())) == (200, True, [])
    for body, code in (({"address": "nonsense"}, "bad_address"), ({"address": "A@h:104", "security": {"tls": True}}, "bad_node"),
                       ({"address": "A@h:104", "like": "nobody"}, "not_found"), ({}, "invalid")):  # fmt: skip
        assert call("POST", "node-tests", body)[1]["error"]["code"] == code
    assert Node.objects.count() == 0


def test_security_is_seen_by_those_who_edit_and_replaced_as_a_whole(call: Any) -> None:
    registry.add("web", "https://127.0.0.1:1/dicom", settings={"http_auth": "basic"},
                 security=Security(user="gantry", passcode="secret"))  # fmt: skip
    status, seen = call("GET", "nodes/web/security")
    assert (status, seen["user"], seen["has_passcode"], seen["tls"]) == (200, "gantry", True, True)
    assert "secret" not in json.dumps(seen)
    security = {key: value for key, value in seen.items() if key != "has_passcode"}
    assert call("PATCH", "nodes/web", {"security": {**security, "user": "other"}})[0] == 200
    kept = registry.security_of(registry.get("web"))
    assert (kept.user, kept.passcode) == ("other", "secret"), "without a passcode the one that is kept stays"
    assert call("PATCH", "nodes/web", {"security": {**security, "passcode": "new"}})[0] == 200
    assert registry.security_of(registry.get("web")).passcode == "new"
    assert call("PATCH", "nodes/web", {"http_auth": "", "security": {**security, "user": "", "passcode": ""}})[0] == 200
    assert registry.security_of(registry.get("web")).passcode == ""
    assert bearer("operator").get("/api/v1/nodes/web/security").status_code == 403


def test_the_certificate_that_a_probe_saw_and_the_end_of_ours(tmp_path: Path, call: Any) -> None:
    authority = Authority(tmp_path / "ca")
    files = authority.issue("pacs")
    with Pacs(tls=server_context(TlsFiles(files.certificate, files.key), client_certificates="none")) as pacs:
        target = pacs.target()
        assert call("GET", "nodes/tls/profile")[0] == 404
        security = Security(tls=True, authorities=authority.certificate, certificate=files.certificate, key=files.key)
        node = registry.add("tls", target.address, security=security)
        assert call("GET", "nodes/tls/profile")[1]["profiled_at"] is None
        found = probe(registry.target_of(node))
        assert found.error == ""
        registry.keep_profile("tls", found)
    shown = call("GET", "nodes/tls")[1]
    expected = ends(files.certificate)
    assert expected is not None
    assert expected > datetime.now(UTC)
    assert (
        datetime.fromisoformat(shown["certificate_ends_at"])
        == datetime.fromisoformat(shown["own_certificate_ends_at"])
        == expected
    )
    profile = call("GET", "nodes/tls/profile")[1]
    assert profile["profile"]["certificate"]["not_after"] == expected.isoformat()
    storage = profile["profile"]["storage"]
    assert storage
    assert all(profile["names"][uid] != uid for uid in storage[:3])
    assert profile["quirks"].keys() == set(profile["profile"]["quirks"])
    assert ends(str(tmp_path / "none")) is None


def test_fetches_of_a_node_are_listed_the_newest_first(call: Any) -> None:
    node = registry.add("pacs", "A@h:104")
    for number in range(3):
        Fetch.objects.create(node=node, uids=[f"1.2.{number}"], created_at=timezone.now())
    page = call("GET", "nodes/pacs/fetch?limit=2")[1]
    assert [one["uids"] for one in page["items"]] == [["1.2.2"], ["1.2.1"]]
    rest = call("GET", page["next"].partition("/api/v1/")[2])[1]
    assert ([one["uids"] for one in rest["items"]], rest["next"]) == ([["1.2.0"]], None)
