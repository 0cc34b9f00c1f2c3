"""The second factor: set up, asked for, used once, given up."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client
from tests.gantry.accounts.people import PASSWORD, bearer, person

from gantry import config, database, sealing
from gantry.accounts import second_factor_secrets
from gantry.accounts.second_factor_secrets import of_user

pytestmark = pytest.mark.django_db
PATH = "/api/v1/session/second-factor"


def code(secret: str, step: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


def sign_in(**more: str) -> Any:
    client = Client()
    body = {"username": "viewer", "password": PASSWORD, **more}
    return client, client.post("/api/v1/session", body, content_type="application/json")


@pytest.fixture
def secret() -> tuple[str, list[str]]:
    """A viewer with a second factor: its secret and recovery codes."""
    person("viewer")
    client, _ = sign_in()
    assert client.get(PATH).json() == {"enabled": False, "recovery_codes_left": 0}
    assert client.post(PATH, {"password": "wrong"}, content_type="application/json").status_code == 401
    started = client.post(PATH, {"password": PASSWORD}, content_type="application/json").json()
    assert started["uri"].startswith("otpauth://totp/")
    assert client.put(PATH, {"code": "000000"}, content_type="application/json").status_code == 422
    assert sign_in()[1].status_code == 201, "not before it is confirmed"
    made = client.put(PATH, {"code": code(started["secret"], -1)}, content_type="application/json")
    assert made.status_code == 200, made.content
    return started["secret"], made.json()["recovery_codes"]


def test_signing_in_asks_for_a_code(secret: tuple[str, list[str]]) -> None:
    answer = sign_in()[1]
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "second_factor_needed")
    wrong = sign_in(code="000000")[1]
    assert wrong.json()["error"]["code"] == "second_factor_needed"
    now = code(secret[0])
    assert sign_in(code=now)[1].status_code == 201
    assert sign_in(code=now)[1].status_code == 401, "a code works once"


def test_a_recovery_code_works_once(secret: tuple[str, list[str]]) -> None:
    assert len(secret[1]) == 10
    client, answer = sign_in(code=secret[1][3])
    assert answer.status_code == 201
    assert client.get(PATH).json() == {"enabled": True, "recovery_codes_left": 9}
    assert sign_in(code=secret[1][3])[1].status_code == 401


def test_codes_are_not_guessed_without_end(secret: tuple[str, list[str]]) -> None:
    answers = [sign_in(code="000000")[1].status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert sign_in(code=code(secret[0]))[1].status_code == 429


def test_it_is_given_up_for_a_code_or_by_an_administrator(secret: tuple[str, list[str]]) -> None:
    client, _ = sign_in(code=secret[1][0])
    assert client.delete(PATH, {"code": "000000"}, content_type="application/json").status_code == 401
    assert client.delete(PATH, {"code": secret[1][1]}, content_type="application/json").status_code == 204
    assert sign_in()[1].status_code == 201


def test_an_administrator_takes_it_away(secret: tuple[str, list[str]]) -> None:
    assert bearer("administrator").delete("/api/v1/users/viewer/second-factor").status_code == 204
    assert sign_in()[1].status_code == 201


def test_the_secret_is_sealed(secret: tuple[str, list[str]]) -> None:
    row = Authenticator.objects.get(type="totp")
    kept = row.data["secret"]
    assert secret[0] not in kept
    with of_user(row.user_id):
        assert second_factor_secrets.unseal(kept) == secret[0]
        assert second_factor_secrets.unseal(kept[:-4] + "AAAA") == ""
    with of_user(row.user_id + 1):
        assert second_factor_secrets.unseal(kept) == "", "it belongs to one person"


def sealed_as_before(text: str) -> str:
    """As the earlier release did."""
    nonce = os.urandom(12)
    sealed = second_factor_secrets._box().encrypt(nonce, text.encode(), None)
    return "v1:" + base64.b64encode(nonce + sealed).decode("ascii")


@pytest.mark.django_db(transaction=True)
def test_those_of_an_earlier_release_open_and_are_taken_over_with_the_next_key(secret: tuple[str, list[str]]) -> None:
    home = Path(config.current().home)
    for row in Authenticator.objects.all():
        member = "secret" if row.type == "totp" else "seed"
        with of_user(row.user_id):
            row.data[member] = sealed_as_before(second_factor_secrets.unseal(row.data[member]))
        row.save(update_fields=["data"])
    assert sign_in(code=secret[1][0])[1].status_code == 201
    with database.connect(autocommit=True) as connection:
        found = [row[2:] for row in sealing.overview(connection, home) if row[0] == "mfa_authenticator"]
        assert found == [("key of Django (earlier release)", 2)]
        assert sealing.reseal(connection, home, grace_seconds=0) == 2
        assert {row[1] for row in sealing.overview(connection, home) if row[0] == "mfa_authenticator"} == {
            "data.secret",
            "data.seed",
        }
        assert sealing.reseal(connection, home, grace_seconds=0) == 2
    assert sign_in(code=code(secret[0]))[1].status_code == 201
    client, answer = sign_in(code=secret[1][1])
    assert answer.status_code == 201
    assert client.get(PATH).json() == {"enabled": True, "recovery_codes_left": 8}


def test_a_token_cannot_set_it_up() -> None:
    assert bearer("viewer").post(PATH, {"password": PASSWORD}, content_type="application/json").status_code == 403
