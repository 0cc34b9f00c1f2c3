"""Signing in by OpenID Connect, with a provider that runs beside (oidc-provider-mock)."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.test import Client
from tests.conftest import unused_port
from tests.gantry.accounts.people import person

from gantry import config
from gantry.accounts.models import Session, User

pytestmark = pytest.mark.django_db
BEGIN = "/account/openid/sso/"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A running provider."""
    port = unused_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/openid-configuration", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, "the provider ended"
                assert time.monotonic() < deadline, "the provider did not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def openid(provider: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings name it."""
    monkeypatch.setenv("GANTRY_SECRET_OPENID", "a secret")
    changes = {"openid_url": provider, "openid_client_id": "gantry", "openid_client_secret": "env:GANTRY_SECRET_OPENID"}
    monkeypatch.setattr(config, "_current", config.current().model_copy(update=changes))
    return provider


def introduce(provider: str, sub: str, **claims: Any) -> None:
    request = urllib.request.Request(
        f"{provider}/users/{sub}", json.dumps(claims).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=60).close()


def agree(location: str, sub: str) -> str:
    """What the browser does at the provider: says who it is, and is sent back. Gives where to."""
    parts = urlsplit(location)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"{parts.path}?{parts.query}", urlencode({"sub": sub}), form)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 302, answer.status
    return str(answer.headers["Location"])


def come(provider: str, sub: str) -> tuple[Client, Any]:
    client = Client()
    begun = client.get(BEGIN)
    assert begun.status_code == 302
    assert "code_challenge" in begun["Location"], "PKCE (RFC 7636)"
    back = urlsplit(agree(begun["Location"], sub))
    assert back.path == f"{BEGIN}callback/"
    return client, client.get(f"{back.path}?{back.query}")


def test_somebody_with_an_account_comes_in(openid: str) -> None:
    person("viewer", email="Vera@example.org")
    introduce(openid, "vera", email="vera@example.org", email_verified=True)
    client, answer = come(openid, "vera")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/api/v1/session").json()["username"] == "viewer"
    assert Session.objects.get(user__username="viewer").address == "127.0.0.1"
    User.objects.update(email="")
    client, _ = come(openid, "vera")
    assert client.get("/api/v1/session").json()["username"] == "viewer", "from now on by `sub`"
    User.objects.update(is_active=False)
    assert come(openid, "vera")[1].status_code == 403


@pytest.mark.parametrize(
    "claims", [{"email": "x@example.org", "email_verified": True}, {"email": "vera@example.org", "email_verified": False}]
)
def test_nobody_else(openid: str, claims: dict[str, Any]) -> None:
    person("viewer", email="vera@example.org")
    introduce(openid, "mallory", **claims)
    client, answer = come(openid, "mallory")
    assert answer.status_code == 403
    assert b"no account" in answer.content
    assert client.get("/api/v1/session").status_code == 401
    assert User.objects.count() == 1


def test_an_answer_that_was_not_asked_for(openid: str) -> None:
    person("viewer", email="vera@example.org")
    introduce(openid, "vera", email="vera@example.org", email_verified=True)
    begun = Client().get(BEGIN)
    back = urlsplit(agree(begun["Location"], "vera"))
    stranger = Client()
    assert stranger.get(f"{back.path}?{back.query}").status_code == 403
    assert stranger.get("/api/v1/session").status_code == 401


def test_without_a_provider_there_is_no_such_page() -> None:
    assert Client().get(BEGIN).status_code == 404
    assert Client().get("/account/openid/other/").status_code == 404
    assert b"OpenID" not in Client().get("/admin/login/").content


def test_the_sign_in_page_offers_it(openid: str) -> None:
    assert b"Sign in with OpenID Connect" in Client().get("/admin/login/").content
