"""accounts.bootstrap: the first administrator and the first token."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import authenticate
from django.db import connection
from tests.gantry.accounts.people import person

from gantry.accounts import bootstrap, tokens
from gantry.accounts.errors import NotFound
from gantry.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_start_makes_an_administrator_once() -> None:
    password = bootstrap.ensure_administrator()
    assert password is not None
    assert len(password) == 23
    user = User.objects.get()
    assert (user.username, user.role, user.is_staff, user.is_superuser) == ("admin", "administrator", True, True)
    assert user.must_change_password
    assert user.password.startswith("argon2$argon2id$")
    assert authenticate(username="admin", password=password) == user
    assert bootstrap.ensure_administrator() is None


def test_the_first_sign_in_is_awaited_until_somebody_has_a_password_of_their_own() -> None:
    assert not bootstrap.waits_for_first_sign_in(), "nobody is there at all"
    bootstrap.ensure_administrator()
    assert bootstrap.waits_for_first_sign_in()
    person("viewer")
    assert not bootstrap.waits_for_first_sign_in()


def test_no_two_passwords_are_the_same() -> None:
    assert len({bootstrap.generate_password() for _ in range(100)}) == 100


def test_nothing_happens_where_there_are_people() -> None:
    person("viewer")
    assert bootstrap.ensure_administrator() is None
    assert User.objects.count() == 1


def test_two_processes_at_once_make_one() -> None:
    made: list[str | None] = []

    def start() -> None:
        try:
            made.append(bootstrap.ensure_administrator())
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (password,) = [one for one in made if one]
    assert authenticate(username="admin", password=password)


def test_a_token_on_a_fresh_home_leaves_the_password_to_the_first_start() -> None:
    plaintext = bootstrap.create_token(None, "script")
    actor = tokens.look_up(plaintext)
    assert actor is not None
    assert actor.role == "administrator"
    password = bootstrap.ensure_administrator()
    assert password is not None
    assert User.objects.count() == 1
    assert authenticate(username="admin", password=password)
    assert tokens.look_up(plaintext)


def test_a_token_for_somebody() -> None:
    person("operator")
    actor = tokens.look_up(bootstrap.create_token("operator", "x", tokens.Scope(["studies.view"]), expires_days=3))
    assert actor is not None
    assert actor.actions == {"studies.view"}
    assert actor.until is not None
    with pytest.raises(NotFound):
        bootstrap.create_token("nobody", "x")
    with pytest.raises(NotFound):
        bootstrap.create_token(None, "x")


def test_a_new_password_from_the_command_line() -> None:
    old = bootstrap.ensure_administrator()
    User.objects.update(must_change_password=False, is_active=False)
    new = bootstrap.reset_password("admin")
    assert new != old
    assert authenticate(username="admin", password=old) is None
    user = authenticate(username="admin", password=new)
    assert user is not None
    assert user.must_change_password  # type: ignore[attr-defined]  # our user
    with pytest.raises(NotFound, match="no user nobody"):
        bootstrap.reset_password("nobody")
