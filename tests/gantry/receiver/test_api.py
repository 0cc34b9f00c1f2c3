"""Callers over REST: what is given is what is kept; what cannot be is refused with words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gantry.accounts.people import bearer


@pytest.mark.django_db
def test_allow_list_deny_forget() -> None:
    client = bearer("administrator")

    def ask(method: str, route: str, body: Any = None) -> Any:
        text = "" if body is None else json.dumps(body)
        return client.generic(method, f"/api/v1/callers{route}", text, content_type="application/json")

    print_ = ":".join(["AB"] * 32)
    wanted = {
        "aet": "CT1 ",
        "may": ["store", "find"],
        "hosts": ["192.0.2.7/24", "2001:db8::1"],
        "certificate": print_,
        "name": "CT",
    }
    made = ask("POST", "", wanted)
    assert made.status_code == 201, made.content
    assert {key: made.json()[key] for key in ("aet", "may", "hosts", "certificate", "enabled")} == {
        "aet": "CT1", "may": ["store", "find"], "hosts": ["192.0.2.0/24", "2001:db8::1"], "certificate": "ab" * 32, "enabled": True,
    }  # fmt: skip
    assert ask("POST", "", {"aet": "CT1"}).json()["may"] == ["echo", "store"]
    assert [one["hosts"] for one in ask("GET", "").json()["items"]] == [[]]
    assert ask("PATCH", "/CT1", {"enabled": False}).json()["enabled"] is False
    assert ask("DELETE", "/CT1").status_code == 204
    assert ask("DELETE", "/CT1").status_code == 404
    assert ask("GET", "/refused").json() == {"items": [], "next": None}
    for wrong in (
        {"aet": "A\\B"}, {"aet": " "}, {"aet": "X", "may": []}, {"aet": "X", "may": ["delete"]}, {"aet": "X", "hosts": ["ct.example"]},
        {"aet": "X", "certificate": "12"},
    ):  # fmt: skip
        answer = ask("POST", "", wrong)
        assert (answer.status_code, bool(answer.json()["error"]["message"])) == (422, True), wrong
