"""Institutes: who is in them, which studies are theirs, which groups they have, what is shown to whom besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from gantry.accounts import trail
from gantry.accounts.actions import ACTIONS
from gantry.accounts.errors import Conflict, Invalid, NotFound
from gantry.accounts.models import MEMBER_ROLES, Grant, Group, Institute, Membership, Source, User
from gantry.audit.record import By

MAX_NAME = 100
#: What no group can give: whoever has it could give themselves everything.
NOT_FOR_GROUPS = frozenset({"admin.use", "people.edit", "setup.edit"})


@dataclass
class Wiring:
    """What a room above does for this one: sort the studies that are there into institutes, when their sources changed."""

    sort_studies: Callable[[], object] = lambda: None


wiring = Wiring()


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"A name has 1 to {MAX_NAME} printable characters.")
    return name


def find(name: str) -> Institute:
    """By name, in any case. Raises NotFound."""
    row = Institute.objects.filter(name__iexact=name.strip()).first()
    if row is None:
        raise NotFound("There is no such institute.", remedy="`gantry institute list` shows them all.")
    return row


def add(name: str, by: By, *, description: str = "", all_studies: bool = False) -> Institute:
    """Make an institute; with `all_studies` every study is theirs. Raises Invalid, Conflict."""
    name = _name(name)
    with transaction.atomic():
        if Institute.objects.filter(name__iexact=name).exists():
            raise Conflict("There is an institute of this name already.")
        row = Institute.objects.create(name=name, description=description, all_studies=all_studies)
        trail.note("institute.add", by, kind="institute", key=name, after={"all_studies": all_studies})
    return row


def change(
    name: str, by: By, *, new_name: str | None = None, description: str | None = None, all_studies: bool | None = None
) -> Institute:
    """Change what is given. Raises NotFound, Invalid, Conflict."""
    with transaction.atomic():
        row = find(name)
        before = {"name": row.name, "description": row.description, "all_studies": row.all_studies}
        if new_name is not None:
            row.name = _name(new_name)
            if Institute.objects.filter(name__iexact=row.name).exclude(pk=row.pk).exists():
                raise Conflict("There is an institute of this name already.")
        row.description = row.description if description is None else description
        row.all_studies = row.all_studies if all_studies is None else all_studies
        row.save(update_fields=["name", "description", "all_studies"])
        after = {"name": row.name, "description": row.description, "all_studies": row.all_studies}
        trail.note("institute.edit", by, kind="institute", key=row.name, before=before, after=after)
    return row


def remove(name: str, by: By) -> None:
    """Remove an institute with its memberships, groups, sources and grants; studies stay. Raises NotFound."""
    with transaction.atomic():
        row = find(name)
        before = {"members": row.memberships.count(), "groups": row.groups.count(), "sources": row.sources.count()}
        with connection.cursor() as cursor:  # not by the ORM, which would load every row of it
            cursor.execute("DELETE FROM accounts_belonging WHERE institute_id = %s", [row.pk])
        row.delete()
        trail.note("institute.remove", by, kind="institute", key=name, before=before)


def add_source(name: str, kind: str, pattern: str, by: By) -> Source:
    """Studies whose `kind` fits `pattern` (* and ?) belong to the institute from now on, those that are there too."""
    if kind not in Source.KINDS:
        raise Invalid(f"There is no source {kind[:40]}.", remedy=f"Choose from: {', '.join(Source.KINDS)}.")
    pattern = pattern.strip()
    if not 1 <= len(pattern) <= 200 or not pattern.isprintable():
        raise Invalid("A pattern has 1 to 200 printable characters.")
    with transaction.atomic():
        institute = find(name)
        row, made = Source.objects.get_or_create(institute=institute, kind=kind, pattern=pattern)
        if made:
            trail.note("institute.edit", by, kind="institute", key=institute.name, after={"source": f"{kind}={pattern}"})
            transaction.on_commit(wiring.sort_studies)
    return row


def remove_source(name: str, source_id: int, by: By) -> None:
    """Take a source away; studies that came by it alone belong to the institute no longer. Raises NotFound."""
    with transaction.atomic():
        institute = find(name)
        row = Source.objects.filter(institute=institute, pk=source_id).first()
        if row is None:
            raise NotFound("The institute has no such source.")
        row.delete()
        trail.note("institute.edit", by, kind="institute", key=institute.name, before={"source": f"{row.kind}={row.pattern}"})
        transaction.on_commit(wiring.sort_studies)


def _person(username: str) -> User:
    user = User.objects.filter(username__iexact=username.strip()).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


def set_member(name: str, username: str, role: str, by: By) -> Membership:
    """Put a person into an institute, or change their role there. Raises NotFound, Invalid."""
    if role not in MEMBER_ROLES:
        raise Invalid(f"There is no role {role[:40]} in an institute.", remedy=f"Choose from: {', '.join(MEMBER_ROLES)}.")
    with transaction.atomic():
        institute, user = find(name), _person(username)
        before = Membership.objects.filter(user=user, institute=institute).values_list("role", flat=True).first()
        row, _ = Membership.objects.update_or_create(user=user, institute=institute, defaults={"role": role})
        key = f"{user.username} in {institute.name}"
        trail.note("membership.edit", by, kind="membership", key=key, before=before and {"role": before}, after={"role": role})
    return row


def remove_member(name: str, username: str, by: By) -> None:
    """Take a person out of an institute and its groups. Raises NotFound."""
    with transaction.atomic():
        institute, user = find(name), _person(username)
        row = Membership.objects.filter(user=user, institute=institute).first()
        if row is None:
            raise NotFound(f"{user.username} is not in {institute.name}.")
        row.delete()
        User.objects.filter(pk=user.pk, active_institute=institute).update(active_institute=None)
        key = f"{user.username} in {institute.name}"
        trail.note("membership.remove", by, kind="membership", key=key, before={"role": row.role})


def _actions(actions: Iterable[str]) -> list[str]:
    chosen = sorted(set(actions))
    wrong = [action for action in chosen if action not in ACTIONS or action in NOT_FOR_GROUPS]
    if wrong:
        raise Invalid(
            f"A group cannot give: {', '.join(wrong)[:200]}.",
            remedy=f"Choose from: {', '.join(sorted(ACTIONS - NOT_FOR_GROUPS))}.",
        )
    return chosen


def find_group(institute: str, name: str) -> Group:
    """By name, in any case. Raises NotFound."""
    row = Group.objects.select_related("institute").filter(institute=find(institute), name__iexact=name.strip()).first()
    if row is None:
        raise NotFound("The institute has no such group.", remedy="`gantry group list` shows them all.")
    return row


def set_group(institute: str, name: str, actions: Iterable[str], by: By) -> Group:
    """Make a group that gives its members `actions` beyond their role, or change what it gives. Raises NotFound, Invalid."""
    chosen = _actions(actions)
    with transaction.atomic():
        place = find(institute)
        row = Group.objects.filter(institute=place, name__iexact=_name(name)).first()
        before = None if row is None else {"actions": row.actions}
        if row is None:
            row = Group.objects.create(institute=place, name=_name(name), actions=chosen)
        else:
            row.actions = chosen
            row.save(update_fields=["actions"])
        trail.note("group.edit", by, kind="group", key=f"{place.name}/{row.name}", before=before, after={"actions": chosen})
    return row


def remove_group(institute: str, name: str, by: By) -> None:
    """Remove a group; its members stay in the institute. Raises NotFound."""
    with transaction.atomic():
        row = find_group(institute, name)
        before = {"actions": row.actions, "members": row.members.count()}
        row.delete()
        trail.note("group.remove", by, kind="group", key=f"{institute}/{name}", before=before)


def set_in_group(institute: str, name: str, username: str, by: By, *, member: bool) -> Group:
    """Put a member of the institute into a group, or take them out. Raises NotFound."""
    with transaction.atomic():
        row, user = find_group(institute, name), _person(username)
        membership = Membership.objects.filter(user=user, institute=row.institute).first()
        if membership is None:
            raise NotFound(f"{user.username} is not in {row.institute.name}.", remedy="Make them a member first.")
        row.members.add(membership) if member else row.members.remove(membership)
        change = {"member": user.username}
        what: dict[str, Any] = {"after": change} if member else {"before": change}
        trail.note("group.edit", by, kind="group", key=f"{row.institute.name}/{row.name}", **what)
    return row


def grant(
    study: tuple[int, str],
    by: By,
    *,
    user: User | None = None,
    group: Group | None = None,
    institute: Institute | None = None,
    until: datetime | None = None,
    reason: str = "",
) -> Grant:
    """Show a study (id and Study Instance UID) to one user, group or institute that it does not belong to.

    What they may do with it their role says. Granting again changes the end and the reason. Raises Invalid.
    """
    study_id, uid = study
    to = user or group or institute
    if to is None or sum(one is not None for one in (user, group, institute)) != 1:
        raise Invalid("A study is granted to a user, a group or an institute: name exactly one.")
    if until is not None and until <= timezone.now():
        raise Invalid("The grant would have ended already.")
    with transaction.atomic():
        row, _ = Grant.objects.update_or_create(
            study_id=study_id, user=user, group=group, institute=institute, defaults={"until": until, "reason": reason}
        )
        after = {"to": str(to), "until": until.isoformat() if until else None}
        trail.note("study.grant", by, kind="grant", key=str(row.pk), study_uid=uid, reason=reason, after=after)
    return row


def end_grant(grant_id: int, by: By) -> None:
    """Show it no longer. Raises NotFound."""
    with transaction.atomic():
        row = Grant.objects.filter(pk=grant_id).first()
        if row is None:
            raise NotFound("There is no such grant.")
        row.delete()
        trail.note("study.ungrant", by, kind="grant", key=str(grant_id), before={"study_id": row.study_id})


def activate(user_id: int, name: str, by: By) -> Institute:
    """Make one of a person's institutes the active one of their sessions. Raises NotFound."""
    with transaction.atomic():
        row = Institute.objects.filter(name__iexact=name.strip(), memberships__user_id=user_id).first()
        if row is None:
            raise NotFound("You are in no such institute.", remedy="GET /api/v1/session lists yours.")
        User.objects.filter(pk=user_id).update(active_institute=row)
        trail.note("session.institute", by, kind="institute", key=row.name)
    return row
