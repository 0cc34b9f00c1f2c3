"""Who somebody is at this moment: their role, the institute they are in, their groups. One query."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from django.db import connection

from gantry.accounts.actions import ACTIONS
from gantry.accounts.allowed import ANONYMOUS, Actor, Place
from gantry.accounts.models import Token, User

_PLACES = """
SELECT i.id, i.name, m.role, i.all_studies, g.id, g.actions
FROM accounts_membership m
JOIN accounts_institute i ON i.id = m.institute_id
LEFT JOIN accounts_group_members gm ON gm.membership_id = m.id
LEFT JOIN accounts_group g ON g.id = gm.group_id
WHERE m.user_id = %s
ORDER BY i.id, g.id
"""


def role_of(user: User) -> str:
    """The role of a user that holds everywhere; Django's superuser is an administrator."""
    return "administrator" if user.is_superuser else user.role


def places_of(user_id: int) -> tuple[Place, ...]:
    """All institutes of a user, with the groups there, by the ids of the institutes."""
    found: dict[int, tuple[str, str, bool, dict[int, frozenset[str]]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [user_id])
        for institute_id, name, role, all_studies, group_id, actions in cursor.fetchall():
            groups = found.setdefault(institute_id, (name, role, all_studies, {}))[3]
            if group_id is not None:
                groups[group_id] = frozenset(actions) & ACTIONS
    return tuple(
        Place(key, name, role, all_studies, MappingProxyType(groups)) for key, (name, role, all_studies, groups) in found.items()
    )


def actor_of_user(user: object) -> Actor:
    """The actor of a session's user, in their active institute; ANONYMOUS for nobody and for a switched-off user."""
    if not isinstance(user, User) or not user.is_active:
        return ANONYMOUS
    places = places_of(user.pk)
    chosen = [place for place in places if place.institute_id == user.active_institute_id] or list(places[:1])
    return Actor(
        user_id=user.pk, username=user.username, role=role_of(user), via="session",
        must_change_password=user.must_change_password, places=tuple(chosen),
    )  # fmt: skip


def actor_of_token(token: Token) -> Actor:
    """The actor of a token that holds: all institutes of its user, or those it was narrowed to."""
    user = token.user
    role, places = role_of(user), places_of(user.pk)
    institutes = None if token.institutes is None else frozenset(token.institutes)
    if institutes is not None:
        role, places = "none", _within(institutes, role, places)
    return Actor(
        user_id=user.pk, username=user.username, role=role, via="token", token_id=token.pk,
        limits=frozenset(token.actions) or None, until=token.expires_at, places=places,
        nodes=frozenset(token.nodes) or None, institutes=institutes,
    )  # fmt: skip


def _within(institutes: Collection[int], role: str, places: tuple[Place, ...]) -> tuple[Place, ...]:
    """The role that holds everywhere holds in the chosen institutes too, and nowhere else."""
    from gantry.accounts.models import Institute

    kept = [place for place in places if place.institute_id in institutes]
    if role != "none":
        rows = Institute.objects.filter(pk__in=institutes).order_by("pk")
        kept += [Place(row.pk, row.name, role, row.all_studies) for row in rows]
    return tuple(kept)
