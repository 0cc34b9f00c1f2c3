"""Users, institutes, their sources, members and groups in the file. Passwords are never in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from gantry.accounts import institutes, people
from gantry.accounts import models as tables
from gantry.accounts.actors import role_of
from gantry.accounts.errors import Conflict, Invalid
from gantry.main.one_file.plan import Run, Section, WrongField
from gantry.main.one_file.schema import Group, Institute, Member, SourceOf, User

#: Why a user that the file made is locked: it counts as not locked, for nobody has locked it.
NOT_YET = "made from a file: no password yet"
_PERSON = ("email", "role", "first_name", "last_name", "phone", "department")


class Users(Section[User]):
    """People and machine accounts."""

    name = "users"
    removable = False

    def same(self, item: User) -> str:
        """Names in any case are the same."""
        return item.name.casefold()

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[User]:
        """By name."""
        return [
            User(
                name=row.username, role=role_of(row), **{name: getattr(row, name) for name in _PERSON if name != "role"},
                locked=True if not row.is_active and row.locked_reason != NOT_YET else None,
            )
            for row in tables.User.objects.order_by("username")
        ]  # fmt: skip

    def normal(self, item: User, run: Run) -> User:
        """Names and addresses as they are kept."""
        changed = {name: getattr(item, name).strip() for name in _PERSON}
        if changed["email"]:
            try:
                changed["email"] = people.check_email(changed["email"])
            except Invalid as error:
                raise WrongField("email", str(error)) from error
        return item.model_copy(update={"name": people.check_username(item.name), **changed})

    def differences(self, before: User, item: User, run: Run) -> dict[str, tuple[Any, Any]]:
        """Whether somebody is locked counts only where the file says it."""
        found = super().differences(before, item, run)
        if item.locked is None or bool(before.locked) == item.locked:
            found.pop("locked", None)
        return found

    def add(self, item: User, run: Run) -> None:
        """Invited where that is wanted and there is an address; locked otherwise."""
        person = people.Person(item.name, **{name: getattr(item, name) for name in _PERSON})
        invite = run.invite and bool(item.email) and not item.locked
        people.add(person, run.by, invite=invite)
        if item.locked:
            people.lock(item.name, run.by, "locked by the file")
        elif not invite:
            with contextlib.suppress(Conflict):  # the only administrator stays one; without a password nobody can sign in
                people.lock(item.name, run.by, NOT_YET)
            run.notes.append(f"users {item.name}: has no password yet: `gantry user password {item.name}` gives one")

    def change(self, before: User, item: User, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Fields, then the lock."""
        changes = {name: getattr(item, name) for name in _PERSON if name in fields}
        if changes:
            people.change(before.name, run.by, **changes)
        if "locked" in fields:
            people.lock(before.name, run.by, "locked by the file") if item.locked else people.unlock(before.name, run.by)

    def remove(self, item: User, run: Run) -> None:
        """Never: audit and receipts name people. Lock them."""
        raise WrongField("name", "users are locked, not removed")


class Institutes(Section[Institute]):
    """Tenants."""

    name = "institutes"

    def same(self, item: Institute) -> str:
        """Names in any case are the same."""
        return item.name.casefold()

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Institute]:
        """By name."""
        rows = tables.Institute.objects.order_by("name")
        return [Institute(name=row.name, description=row.description, all_studies=row.all_studies) for row in rows]

    def normal(self, item: Institute, run: Run) -> Institute:
        """Without outer spaces."""
        return item.model_copy(update={"name": item.name.strip()})

    def add(self, item: Institute, run: Run) -> None:
        """Make it."""
        institutes.add(item.name, run.by, description=item.description, all_studies=item.all_studies)

    def change(self, before: Institute, item: Institute, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Its description, and whether every study is theirs."""
        institutes.change(before.name, run.by, description=item.description, all_studies=item.all_studies)

    def remove(self, item: Institute, run: Run) -> None:
        """With memberships, groups and sources; people and studies stay."""
        institutes.remove(item.name, run.by)


class Sources(Section[SourceOf]):
    """What makes a study belong to an institute. There is nothing to change about one."""

    name = "sources"
    identity = ("institute", "kind", "pattern")

    def same(self, item: SourceOf) -> str:
        """Institutes in any case are the same."""
        return f"{item.institute.casefold()}/{item.kind}/{item.pattern}"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[SourceOf]:
        """By institute."""
        rows = tables.Source.objects.select_related("institute").order_by("institute__name", "kind", "pattern")
        return [SourceOf(institute=row.institute.name, kind=row.kind, pattern=row.pattern) for row in rows]

    def normal(self, item: SourceOf, run: Run) -> SourceOf:
        """Without outer spaces."""
        return item.model_copy(update={"institute": item.institute.strip(), "pattern": item.pattern.strip()})

    def add(self, item: SourceOf, run: Run) -> None:
        """Add it; studies are sorted after the commit."""
        institutes.add_source(item.institute, item.kind, item.pattern, run.by)

    def change(self, before: SourceOf, item: SourceOf, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Nothing to change."""

    def remove(self, item: SourceOf, run: Run) -> None:
        """Studies that came by it alone belong to the institute no longer."""
        row = tables.Source.objects.get(institute__name=item.institute, kind=item.kind, pattern=item.pattern)
        institutes.remove_source(item.institute, row.pk, run.by)


class Members(Section[Member]):
    """Users in institutes."""

    name = "members"
    identity = ("institute", "user")

    def same(self, item: Member) -> str:
        """Names in any case are the same."""
        return f"{item.institute.casefold()}/{item.user.casefold()}"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Member]:
        """By institute and user."""
        rows = tables.Membership.objects.select_related("institute", "user").order_by("institute__name", "user__username")
        return [Member(institute=row.institute.name, user=row.user.username, role=row.role) for row in rows]

    def normal(self, item: Member, run: Run) -> Member:
        """Without outer spaces."""
        return item.model_copy(update={"institute": item.institute.strip(), "user": item.user.strip()})

    def add(self, item: Member, run: Run) -> None:
        """Put them in."""
        institutes.set_member(item.institute, item.user, item.role, run.by)

    def change(self, before: Member, item: Member, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """Another role."""
        self.add(item, run)

    def remove(self, item: Member, run: Run) -> None:
        """Take them out, of its groups too."""
        institutes.remove_member(item.institute, item.user, run.by)


class Groups(Section[Group]):
    """What some members may beyond their role."""

    name = "groups"
    identity = ("institute", "name")

    def same(self, item: Group) -> str:
        """Names in any case are the same."""
        return f"{item.institute.casefold()}/{item.name.casefold()}"

    def read(self, home: Path, connection: psycopg.Connection[Any]) -> list[Group]:
        """By institute and name."""
        rows = tables.Group.objects.select_related("institute").prefetch_related("members__user")
        return [
            Group(
                institute=row.institute.name, name=row.name, actions=sorted(row.actions),
                members=sorted(member.user.username for member in row.members.all()),
            )
            for row in rows.order_by("institute__name", "name")
        ]  # fmt: skip

    def normal(self, item: Group, run: Run) -> Group:
        """In order, each once."""
        return item.model_copy(
            update={
                "institute": item.institute.strip(), "name": item.name.strip(), "actions": sorted(set(item.actions)),
                "members": sorted({name.strip() for name in item.members}),
            }
        )  # fmt: skip

    def differences(self, before: Group, item: Group, run: Run) -> dict[str, tuple[Any, Any]]:
        """Members in any case are the same."""
        found = super().differences(before, item, run)
        if {name.casefold() for name in before.members} == {name.casefold() for name in item.members}:
            found.pop("members", None)
        return found

    def add(self, item: Group, run: Run) -> None:
        """Make it and put its members in."""
        institutes.set_group(item.institute, item.name, item.actions, run.by)
        put = partial(institutes.set_in_group, item.institute, item.name, by=run.by, member=True)
        for name in item.members:
            put(name)

    def change(self, before: Group, item: Group, fields: Mapping[str, tuple[Any, Any]], run: Run) -> None:
        """What it gives, and to whom."""
        if "actions" in fields:
            institutes.set_group(before.institute, before.name, item.actions, run.by)
        old, new = ({name.casefold(): name for name in one.members} for one in (before, item))
        for name in new.keys() - old.keys():
            institutes.set_in_group(before.institute, before.name, new[name], run.by, member=True)
        for name in old.keys() - new.keys():
            institutes.set_in_group(before.institute, before.name, old[name], run.by, member=False)

    def remove(self, item: Group, run: Run) -> None:
        """Its members stay in the institute."""
        institutes.remove_group(item.institute, item.name, run.by)
