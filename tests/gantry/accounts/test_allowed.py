"""accounts.allowed: deny by default, roles, tokens, owners."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gantry.accounts import ACTIONS, ANONYMOUS, ROLES, Actor, allowed
from gantry.accounts.actions import MEANINGS


@dataclass
class Thing:
    user_id: int


def test_roles_hold_only_known_actions_and_grow() -> None:
    assert ROLES["viewer"] < ROLES["operator"] < ROLES["administrator"] == ACTIONS
    assert all(meaning and meaning[0].isupper() for meaning in MEANINGS.values())


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_nobody_may_do_anything(action: str) -> None:
    decision = allowed(ANONYMOUS, action)
    assert not decision
    assert "signed in" in decision.reason


def test_an_unknown_action_or_role_is_denied() -> None:
    assert not allowed(Actor(1, "a", "administrator", "session"), "everything.do")
    assert not allowed(Actor(1, "a", "emperor", "session"), "studies.view")


@pytest.mark.parametrize(
    ("role", "action", "expected"),
    [
        ("viewer", "studies.view", True),
        ("viewer", "nodes.edit", False),
        ("viewer", "deliveries.retry", False),
        ("viewer", "quarantine.view", False),
        ("operator", "deliveries.retry", True),
        ("operator", "nodes.echo", True),
        ("operator", "rules.edit", False),
        ("operator", "admin.use", False),
        ("administrator", "rules.edit", True),
    ],
)
def test_roles(role: str, action: str, expected: bool) -> None:
    decision = allowed(Actor(7, "x", role, "session"), action)
    assert bool(decision) is expected
    assert role in decision.reason


def test_a_token_narrows_and_never_widens() -> None:
    narrow = Actor(7, "x", "viewer", "token", 1, frozenset({"studies.view", "nodes.edit"}))
    assert narrow.actions == {"studies.view"}
    assert "token" in allowed(narrow, "nodes.view").reason


def test_before_the_password_is_changed_only_the_session_is_open() -> None:
    actor = Actor(7, "x", "administrator", "session", must_change_password=True)
    assert actor.actions == {"session.own"}
    assert "password" in allowed(actor, "studies.view").reason
    assert allowed(Actor(7, "x", "administrator", "token", 1, must_change_password=True), "studies.view")


def test_without_a_role_one_can_see_who_one_is() -> None:
    assert Actor(7, "x", "none", "session").actions == {"session.own"}


def test_who_sees_what_of_a_patient() -> None:
    full = {role for role, actions in ROLES.items() if "patients.identify" in actions}
    assert full == {"administrator", "operator", "clinician"}
    assert "patients.initials" in ROLES["viewer"]
    assert not ROLES["researcher"] & {
        "patients.initials",
        "patients.identify",
        "studies.download",
        "nodes.query",
        "conflicts.view",
    }


def test_own_things_only() -> None:
    actor = Actor(7, "x", "viewer", "session")
    assert allowed(actor, "tokens.own", Thing(7))
    assert not allowed(actor, "tokens.own", Thing(8))
