"""accounts.tokens: the life of a token."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone
from tests.gantry.accounts.people import person

from gantry.accounts import Actor, tokens
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.models import Token

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_token_is_kept_only_as_a_digest() -> None:
    token, plaintext = tokens.create(person(), "report")
    assert plaintext.startswith("gty_")
    assert len(plaintext) == tokens.LENGTH
    row = Token.objects.filter(pk=token.pk).values().get()
    assert bytes(row["digest"]) == hashlib.sha256(plaintext.encode()).digest()
    assert plaintext not in repr(row)
    assert plaintext.startswith(row["prefix"])
    assert len(row["prefix"]) == 10


def test_a_token_speaks_for_its_user() -> None:
    token, plaintext = tokens.create(person("operator"), "x", actions=["studies.view", "nodes.echo"])
    actor = tokens.look_up(plaintext)
    assert actor is not None
    assert (actor.username, actor.role, actor.via, actor.token_id) == ("operator", "operator", "token", token.pk)
    assert actor.actions == {"studies.view", "nodes.echo"}


@pytest.mark.parametrize("plaintext", ["", "gty_", "gty_" + "A" * 43, "x" * 47, "gty_" + "\ud800" * 43, "gty_\0" + "a" * 42])
def test_what_we_did_not_make_is_nobody(plaintext: str) -> None:
    person()
    assert tokens.look_up(plaintext) is None


def test_expired_revoked_and_switched_off() -> None:
    user = person()
    token, plaintext = tokens.create(user, "x", expires_at=timezone.now() + timedelta(days=1))
    assert tokens.look_up(plaintext)
    Token.objects.update(expires_at=timezone.now())
    assert tokens.look_up(plaintext) is None
    Token.objects.update(expires_at=None)
    user.is_active = False
    user.save()
    assert tokens.look_up(plaintext) is None
    user.is_active = True
    user.save()
    actor = tokens.look_up(plaintext)
    assert actor is not None
    first = tokens.revoke(actor, token.pk).revoked_at
    assert tokens.look_up(plaintext) is None
    assert tokens.revoke(actor, token.pk).revoked_at == first


def test_use_is_noted_once_a_minute() -> None:
    token, plaintext = tokens.create(person(), "x")
    tokens.look_up(plaintext)
    first = Token.objects.get(pk=token.pk).last_used_at
    assert first is not None
    tokens.look_up(plaintext)
    assert Token.objects.get(pk=token.pk).last_used_at == first
    Token.objects.update(last_used_at=first - timedelta(seconds=61))
    tokens.look_up(plaintext)
    assert Token.objects.get(pk=token.pk).last_used_at > first


def test_nobody_revokes_the_token_of_somebody_else() -> None:
    token, plaintext = tokens.create(person(), "x")
    stranger = person("operator")
    with pytest.raises(NotFound):
        tokens.revoke(Actor(stranger.pk, "operator", "operator", "session"), token.pk)
    assert tokens.look_up(plaintext)


def test_a_token_makes_none_that_may_more_or_lives_longer() -> None:
    until = timezone.now() + timedelta(days=2)
    _, plaintext = tokens.create(person(), "x", actions=["tokens.own", "studies.view"], expires_at=until)
    actor = tokens.look_up(plaintext)
    assert actor is not None
    with pytest.raises(Invalid):
        tokens.create_for(actor, "y", tokens.Scope(["nodes.view"]))
    child, _ = tokens.create_for(actor, "y")
    assert child.actions == ["studies.view", "tokens.own"]
    assert child.expires_at == until
    assert tokens.create_for(actor, "z", expires_days=1)[0].expires_at < until


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "x" * 101}, {"name": "a\nb"}, {"name": "x", "actions": ["fly"]}])
def test_wrong_values(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        tokens.create(person(), **wrong)  # type: ignore[arg-type]


def test_it_must_not_have_expired() -> None:
    with pytest.raises(Invalid):
        tokens.create(person(), "x", expires_at=timezone.now())
    with pytest.raises(Invalid):
        tokens.expiry(0)
