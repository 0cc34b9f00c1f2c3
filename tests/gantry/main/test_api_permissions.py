"""Every route declares a permission, and means it: routes x roles as a table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import URLResolver, path
from django.urls.resolvers import RegexPattern
from tests.gantry.accounts import stored
from tests.gantry.accounts.people import PASSWORD, bearer, person
from tests.gantry.main.permission_table import ROLES_IN_ORDER, table

from gantry.accounts import ACTIONS, ROLES
from gantry.main import permissions_check

PUBLIC = {
    "/", "/admin/login/", "/health/live", "/health/ready", "/api/v1/health/live", "/api/v1/health/ready", "/api/v1/",
    "/api/v1/welcome",
    "/account/confirm/", "/account/password/", "/account/forgotten/", "/account/register/",
    "/account/openid/<str:provider_id>/", "/account/openid/<str:provider_id>/callback/",
}  # fmt: skip
#: How somebody without an account becomes somebody.
PUBLIC_POSTS = {
    (f"/api/v1/{route}", "POST") for route in ("session", "account/register", "account/confirm", "account/forgotten", "account/password")
}  # fmt: skip
#: These guard no route: what of a patient is shown, and the details of /health/ready.
NO_ROUTE = {"patients.identify", "patients.initials", "system.view"}


def routes() -> list[permissions_check.Declared]:
    return sorted(set(permissions_check.walk()), key=lambda one: (one.route, one.method))


def test_every_route_declares_a_permission() -> None:
    assert len(routes()) > 60
    assert permissions_check.undeclared() == []


def test_a_route_that_declares_nothing_is_found() -> None:
    def naked(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    class Patterns:
        urlpatterns = [path("naked", naked)]

    found = list(permissions_check.walk(URLResolver(RegexPattern(r""), Patterns)))
    assert [(one.route, one.action) for one in found] == [("/naked", None)]


def test_what_is_public_is_this_and_nothing_else() -> None:
    public = {(one.route, one.method) for one in routes() if one.action == "public"}
    assert public - PUBLIC_POSTS == {(route, "GET" if "health" in route or "welcome" in route else "*") for route in PUBLIC}
    assert public > PUBLIC_POSTS


def test_every_action_guards_a_route() -> None:
    assert {one.action for one in routes()} - {"public"} >= ACTIONS - NO_ROUTE


def test_the_table_that_is_checked_in_is_what_the_code_declares() -> None:
    declared = {(one.method, one.route): one.action for one in routes() if not one.route.startswith("/admin/")}
    assert {key: action for key, (action, _) in table().items()} == declared, (
        "a route is new, gone or asks for another action: run `python -m tests.gantry.main.permission_table`, "
        "and read the difference of tests/gantry/main/permissions.txt"
    )


def _address(route: str) -> str:
    """A route with something in the place of its parameters that does not exist."""
    return re.sub(r"<(\w+:)?(\w+)>", lambda found: _NOBODYS.get(found[2], "999999999"), route)


_NOBODYS = {"name": "nobodys", "username": "nobodys", "uid": "1.9.9", "aet": "NOBODYS"}
_NOBODYS |= dict.fromkeys(("fetch_id", "session_id", "identifier"), "00000000-0000-4000-8000-000000000000")


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES_IN_ORDER)
def test_every_route_lets_in_whom_the_table_says(role: str) -> None:
    """A refusal is 401, or 403 that names the action; whoever is let in gets any other answer."""
    client = Client() if role == "nobody" else bearer(role)
    wrong = []
    for (method, route), (action, roles) in table().items():
        answer = client.generic("GET" if method == "*" else method, _address(route), b"{}", content_type="application/json")
        refused = answer.status_code == 401 or (
            answer.status_code == 403 and answer.json()["error"]["details"] == {"action": action}
        )
        to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/admin/login/")
        if (role in roles) == (refused or to_sign_in) or (answer.status_code >= 500 and answer.status_code not in {502, 503}):
            wrong.append((method, route, action, answer.status_code))
    assert wrong == []


UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Case:
    """A request that a person with the right role gets a success for."""

    method: str
    route: str
    action: str
    body: Any = None
    success: int = 200


RULE = {"name": "r2", "conditions": ["Modality=CT"], "destinations": ["archive"]}
CASES = [
    Case("GET", "/api/v1/openapi.json", "docs.view"),
    Case("GET", "/api/v1/docs", "docs.view"),
    Case("GET", "/api/v1/studies", "studies.view"),
    Case("GET", "/api/v1/studies/1.2.3", "studies.view"),
    Case("GET", "/api/v1/series", "studies.view"),
    Case("GET", "/api/v1/series/1.2.3.1", "studies.view"),
    Case("GET", "/api/v1/instances", "studies.view"),
    Case("GET", "/api/v1/instances/1.2.3.1.1", "studies.view"),
    Case("GET", "/api/v1/instances/1.2.3.1.1/file", "studies.download"),
    Case("GET", "/api/v1/conflicts", "conflicts.view"),
    Case("GET", "/api/v1/callers", "callers.view"),
    Case("GET", "/api/v1/callers/refused", "callers.view"),
    Case("POST", "/api/v1/callers", "callers.edit", {"aet": "CT2", "may": ["store"]}, 201),
    Case("PATCH", "/api/v1/callers/ct1", "callers.edit", {"enabled": False}),
    Case("DELETE", "/api/v1/callers/ct1", "callers.edit", None, 204),
    Case("GET", "/api/v1/nodes", "nodes.view"),
    Case("POST", "/api/v1/nodes", "nodes.edit", {"name": "n2", "address": "A@127.0.0.1:104"}, 201),
    Case("GET", "/api/v1/nodes/archive", "nodes.view"),
    Case("PATCH", "/api/v1/nodes/archive", "nodes.edit", {"enabled": False}),
    Case("DELETE", "/api/v1/nodes/archive", "nodes.edit", None, 204),
    Case("POST", "/api/v1/nodes/archive/echo", "nodes.echo"),
    Case("POST", "/api/v1/nodes/archive/find", "nodes.query", {}, 502),
    Case("POST", "/api/v1/nodes/archive/fetch", "nodes.fetch", {"uids": ["1.2.3"]}, 202),
    Case("GET", f"/api/v1/nodes/archive/fetch/{UNKNOWN_JOB}", "nodes.fetch", None, 404),
    Case("DELETE", f"/api/v1/nodes/archive/fetch/{UNKNOWN_JOB}", "nodes.fetch", None, 404),
    Case("POST", "/api/v1/nodes/archive/probe", "nodes.query", {}),
    Case("GET", "/api/v1/rules", "rules.view"),
    Case("POST", "/api/v1/rules", "rules.edit", RULE, 201),
    Case("GET", "/api/v1/rules/r1", "rules.view"),
    Case("PATCH", "/api/v1/rules/r1", "rules.edit", {"enabled": False}),
    Case("DELETE", "/api/v1/rules/r1", "rules.edit", None, 204),
    Case("GET", "/api/v1/deliveries", "deliveries.view"),
    Case("POST", "/api/v1/deliveries/retry", "deliveries.retry", {}),
    Case("GET", "/api/v1/studies/1.2.3/receipt", "deliveries.view"),
    Case("GET", "/api/v1/quarantine", "quarantine.view"),
    Case("GET", "/api/v1/audit", "audit.view"),
    Case("GET", "/api/v1/alerts", "alerts.view"),
    Case("POST", "/api/v1/alerts/999999999/acknowledge", "alerts.acknowledge", None, 404),
    Case("GET", "/api/v1/metrics/series", "metrics.view"),
    Case("GET", "/api/v1/webhooks", "webhooks.edit"),
    Case("POST", "/api/v1/webhooks", "webhooks.edit", {"name": "w2", "url": "https://192.0.2.1.invalid/x"}, 201),
    Case("PATCH", "/api/v1/webhooks/archive", "webhooks.edit", {"enabled": False}),
    Case("DELETE", "/api/v1/webhooks/archive", "webhooks.edit", None, 204),
    Case("POST", "/api/v1/webhooks/archive/secret", "webhooks.edit"),
    Case("POST", "/api/v1/webhooks/archive/test", "webhooks.edit"),
    Case("GET", "/api/v1/webhooks/archive/notices", "webhooks.edit"),
    Case("GET", "/api/v1/changes", "changes.view"),
    Case("GET", "/api/v1/events", "changes.view"),
    Case("GET", "/api/v1/audit/export", "audit.view"),
    Case("GET", "/api/v1/session", "session.own"),
    Case("DELETE", "/api/v1/session", "session.own", None, 204),
    Case("PUT", "/api/v1/session/password", "session.own", {"old": PASSWORD, "new": "quite another passphrase"}),
    Case("GET", "/api/v1/tokens", "tokens.own"),
    Case("POST", "/api/v1/tokens", "tokens.own", {"name": "t"}, 201),
    Case("DELETE", "/api/v1/tokens/{token}", "tokens.own"),
    Case("GET", "/api/v1/metrics", "metrics.view"),
    Case("GET", "/metrics", "metrics.view"),
]


def ask(client: Client, case: Case, user: Any = None) -> Any:
    from gantry.accounts.models import Token

    token = Token.objects.filter(user=user).order_by("pk").first() if user else None
    route = case.route.format(token=token.pk if token else 1)
    return client.generic(case.method, route, _json(case.body), content_type="application/json")


def _json(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


@pytest.fixture
def furniture(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantry import config
    from gantry.alerts import webhooks
    from gantry.audit import SYSTEM
    from gantry.receiver import allow
    from gantry.routing import rules

    monkeypatch.setattr(config, "_current", config.current().model_copy(update={"home": tmp_path}))
    stored.study("1.2.3", home=tmp_path)
    stored.node("archive")
    stored.node("other")
    rules.add("r1", to=["other"])
    allow.allow("ct1")
    (tmp_path / "secrets").mkdir(exist_ok=True)
    webhooks.add("archive", "https://example.invalid/hook", [], SYSTEM)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["nobody", "administrator"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.route}")
def test_a_request_that_is_right_succeeds(case: Case, role: str, furniture: None) -> None:
    from gantry.accounts.models import User

    # The own password is changed in a session; everything else is asked with a token.
    client = Client() if role == "nobody" else bearer(role)
    user = User.objects.filter(username=role).first()
    if role != "nobody" and case.route.endswith("/password"):
        client.defaults.clear()
        client = Client()
        client.force_login(user)
    answer = ask(client, case, user)
    if role == "nobody":
        expected = 302 if case.route == "/api/v1/docs" else 401
    else:
        expected = case.success if case.action in ROLES[role] else 403
    assert answer.status_code == expected, b"".join(answer) if answer.streaming else answer.content
    if expected in {401, 403}:
        assert answer.json()["error"]["code"] == {401: "not_signed_in", 403: "not_allowed"}[expected]
    if expected == 403:
        assert answer.json()["error"]["details"] == {"action": case.action}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES_IN_ORDER)
def test_administration_pages_by_role(role: str) -> None:
    client = Client()
    if role != "nobody":
        client.force_login(person(role))
    for one in routes():
        if not one.route.startswith("/admin/") or "<" in one.route or "?P" in one.route or one.action == "public":
            continue
        answer = client.get(one.route)
        if role == "administrator":
            assert answer.status_code in {200, 302, 403, 405}, one.route
            assert "/admin/login/" not in answer.headers.get("Location", "") or "logout" in one.route
        else:
            assert answer.status_code == 302, one.route
            assert answer["Location"].startswith(("/admin/login/", "/admin/"))


@pytest.mark.django_db
def test_only_superusers_get_in() -> None:
    client = Client()
    client.force_login(person("administrator", is_superuser=False, is_staff=True))
    assert client.get("/admin/").status_code == 302
    client.force_login(person("operator", is_staff=True))
    assert client.get("/admin/").status_code == 302


@pytest.mark.django_db
def test_a_superuser_without_a_role_is_an_administrator() -> None:
    client = Client()
    client.force_login(person("viewer", is_superuser=True))
    assert client.get("/admin/").status_code == 200
    assert client.get("/api/v1/session").json()["role"] == "administrator"
