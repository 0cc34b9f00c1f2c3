"""accounts.sign_in and accounts.throttle: passwords, sessions, lock-out."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connection
from django.test import Client, RequestFactory
from tests.gantry.accounts.people import PASSWORD, person

from gantry.accounts import sign_in, throttle
from gantry.accounts.errors import SignInLocked, SignInRefused
from gantry.accounts.models import SignInFailures, User

pytestmark = pytest.mark.django_db(transaction=True)


def post(client: Client, password: str = PASSWORD, username: str = "viewer") -> object:
    return client.post("/api/v1/session", {"username": username, "password": password}, content_type="application/json")


def test_a_session_from_begin_to_end() -> None:
    person("viewer")
    client = Client(enforce_csrf_checks=True)
    answer = post(client)
    assert answer.status_code == 201, answer.content
    assert answer.json()["username"] == "viewer"
    assert answer.cookies["sessionid"]["httponly"]
    assert client.get("/api/v1/session").json()["via"] == "session"
    token = client.cookies["csrftoken"].value
    assert client.delete("/api/v1/session").json()["error"]["code"] == "csrf_refused"
    assert client.delete("/api/v1/session", headers={"x-csrftoken": token}).status_code == 204
    assert client.get("/api/v1/session").status_code == 401


def test_wrong_password_unknown_and_switched_off_are_answered_alike() -> None:
    person("viewer")
    person("operator", is_active=False)
    answers = [post(Client(), "wrong"), post(Client(), "wrong", "nobody"), post(Client(), PASSWORD, "operator")]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_an_unknown_name_takes_as_long_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("time_cost", 2), ("memory_cost", 102400), ("parallelism", 8)):  # as outside the tests
        monkeypatch.setattr(Argon2PasswordHasher, name, value)
    person("viewer", password=make_password(PASSWORD))
    request = RequestFactory().get("/")

    def seconds(username: str) -> float:
        SignInFailures.objects.all().delete()
        begin = time.perf_counter()
        with pytest.raises(SignInRefused):
            sign_in.verify(request, username, "wrong password")
        return time.perf_counter() - begin

    known = min(seconds("viewer") for _ in range(7))
    unknown = min(seconds("nobody") for _ in range(7))
    assert 0.4 < known / unknown < 2.5


def test_five_failures_lock_even_the_right_password_until_the_time_is_over() -> None:
    person("viewer")
    for _ in range(5):
        assert post(Client(), "wrong").status_code == 401
    locked = post(Client())
    assert locked.status_code == 429
    assert locked.json()["error"]["code"] == "sign_in_locked"
    assert 800 < int(locked["Retry-After"]) <= 900
    assert post(Client(), username="VIEWER").status_code == 429
    assert (
        Client(REMOTE_ADDR="192.0.2.9")
        .post("/api/v1/session", {"username": "viewer", "password": PASSWORD}, content_type="application/json")
        .status_code
        == 201
    )
    SignInFailures.objects.update(locked_until=throttle.timezone.now() - timedelta(seconds=1))
    assert post(Client()).status_code == 201


def test_a_success_clears_the_count() -> None:
    person("viewer")
    for _ in range(4):
        post(Client(), "wrong")
    assert post(Client()).status_code == 201
    for _ in range(4):
        assert post(Client(), "wrong").status_code == 401
    assert post(Client()).status_code == 201


def test_old_failures_are_forgotten() -> None:
    for _ in range(4):
        throttle.count_attempt("viewer", "192.0.2.1")
    SignInFailures.objects.update(last_at=throttle.timezone.now() - timedelta(minutes=16))
    for _ in range(5):
        throttle.count_attempt("viewer", "192.0.2.1")
    with pytest.raises(SignInLocked):
        throttle.count_attempt("viewer", "192.0.2.1")


def test_one_address_cannot_try_many_names() -> None:
    for number in range(50):
        throttle.count_attempt(f"name{number}", "192.0.2.1")
    with pytest.raises(SignInLocked):
        throttle.count_attempt("another", "192.0.2.1")
    throttle.count_attempt("another", "192.0.2.2")


def test_many_at_once_get_no_more_tries() -> None:
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            throttle.count_attempt("viewer", "192.0.2.1")
            outcomes.append("tried")
        except SignInLocked:
            outcomes.append("locked")
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("tried") == 5
    assert outcomes.count("locked") == 15


def test_names_are_not_kept() -> None:
    throttle.count_attempt("my password typed into the wrong field", "192.0.2.1")
    assert "password" not in repr(list(SignInFailures.objects.values()))


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("x" * 151, "x"), ("x", "y" * 1025), ("a\0b", "x")])
def test_impossible_values_cost_no_hash(username: str, password: str) -> None:
    with pytest.raises(SignInRefused):
        sign_in.verify(RequestFactory().get("/"), username, password)


def test_a_form_of_another_site_cannot_sign_anybody_in() -> None:
    person("viewer")
    answer = Client().post("/api/v1/session", '{"username": "viewer", "password": "x"}', content_type="text/plain")
    assert answer.status_code == 415


class TestPassword:
    def client(self, **changes: object) -> Client:
        person("viewer", **changes)
        client = Client()
        assert post(client).status_code == 201
        return client

    def change(self, client: Client, old: str, new: str) -> object:
        return client.put("/api/v1/session/password", {"old": old, "new": new}, content_type="application/json")

    def test_it_is_changed_and_other_sessions_end(self) -> None:
        client = self.client(must_change_password=True)
        other = Client()
        post(other)
        assert client.get("/api/v1/studies").json()["error"]["code"] == "not_allowed"
        assert client.get("/api/v1/session").json()["must_change_password"] is True
        answer = self.change(client, PASSWORD, "another long passphrase 7")
        assert answer.status_code == 200, answer.content
        assert answer.json()["must_change_password"] is False
        assert client.get("/api/v1/studies").status_code == 200
        assert other.get("/api/v1/session").status_code == 401
        assert User.objects.get().check_password("another long passphrase 7")

    @pytest.mark.parametrize("new", ["shrt-7", "password1", PASSWORD, "x" * 1100])
    def test_bad_ones_are_refused(self, new: str) -> None:
        answer = self.change(self.client(), PASSWORD, new)
        assert answer.status_code == 422
        assert new not in answer.content.decode()

    def test_the_old_one_is_needed(self) -> None:
        assert self.change(self.client(), "wrong", "another long passphrase 7").status_code == 401
