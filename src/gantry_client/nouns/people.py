"""People, institutes, groups, grants, registrations, tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gantry_client.http import with_query
from gantry_client.nouns.asking import Asking, given, part
from gantry_client.records_people import (
    Grant,
    Group,
    Institute,
    May,
    Membership,
    NewToken,
    Registration,
    Source,
    Token,
    User,
)


class People(Asking):
    """Who may what."""

    def users(self, *, q: str | None = None, institute: str | None = None, active: bool | None = None) -> Iterator[User]:
        """People and machine accounts, by name."""
        return self._all(User, "/users", {"q": q, "institute": institute, "active": active})

    def user(self, username: str) -> User:
        """One of them. Raises NotFound."""
        return self._one(User, "GET", f"/users/{part(username)}")

    def add_user(self, username: str, *, memberships: Mapping[str, str] | None = None, **settings: Any) -> User:
        """Add an account; `memberships` name institute and role, `settings` as in the API (role, email, invite, ...)."""
        body = given(username=username, memberships=None if memberships is None else dict(memberships), **settings)
        return self._one(User, "POST", "/users", body)

    def change_user(self, username: str, **settings: Any) -> User:
        """Change settings as in the API (role, email, active with a reason, ...)."""
        return self._one(User, "PATCH", f"/users/{part(username)}", settings)

    def end_sessions(self, username: str) -> int:
        """Sign somebody out everywhere; gives the number of sessions."""
        return int(self._ask("DELETE", f"/users/{part(username)}/sessions")["ended"])

    def drop_second_factor(self, username: str) -> None:
        """For somebody who lost it."""
        self._ask("DELETE", f"/users/{part(username)}/second-factor")

    def may(self, username: str, action: str, *, study: str | None = None) -> May:
        """Whether somebody may, and why or why not."""
        return self._one(May, "GET", with_query(f"/users/{part(username)}/may", {"action": action, "study": study}))

    def memberships(self, *, user: str | None = None, institute: str | None = None) -> Iterator[Membership]:
        """Who is where."""
        return self._all(Membership, "/memberships", {"user": user, "institute": institute})

    def set_membership(self, user: str, institute: str, role: str) -> Membership:
        """Somebody belongs to an institute, with this role there."""
        return self._one(Membership, "PUT", "/memberships", {"user": user, "institute": institute, "role": role})

    def end_membership(self, membership_id: int) -> None:
        """No longer. Raises NotFound."""
        self._ask("DELETE", f"/memberships/{membership_id}")

    def institutes(self) -> Iterator[Institute]:
        """All institutes."""
        return self._all(Institute, "/institutes", {})

    def add_institute(self, name: str, *, description: str = "", all_studies: bool = False) -> Institute:
        """Add one."""
        return self._one(Institute, "POST", "/institutes", {"name": name, "description": description, "all_studies": all_studies})

    def change_institute(self, name: str, **settings: Any) -> Institute:
        """Change settings as in the API (name, description, all_studies)."""
        return self._one(Institute, "PATCH", f"/institutes/{part(name)}", settings)

    def remove_institute(self, name: str) -> None:
        """Take it away. Raises NotFound."""
        self._ask("DELETE", f"/institutes/{part(name)}")

    def add_source(self, institute: str, kind: str, pattern: str) -> Source:
        """What arrives with this value is theirs; `kind`: calling_aet, called_aet, address, institution_name."""
        return self._one(Source, "POST", f"/institutes/{part(institute)}/sources", {"kind": kind, "pattern": pattern})

    def remove_source(self, institute: str, source_id: int) -> None:
        """No longer. Raises NotFound."""
        self._ask("DELETE", f"/institutes/{part(institute)}/sources/{source_id}")

    def groups(self) -> Iterator[Group]:
        """All groups."""
        return self._all(Group, "/groups", {})

    def set_group(self, institute: str, name: str, actions: Sequence[str]) -> Group:
        """Make a group, or say anew what its members may."""
        return self._one(Group, "PUT", "/groups", {"institute": institute, "name": name, "actions": list(actions)})

    def remove_group(self, group_id: int) -> None:
        """Take it away. Raises NotFound."""
        self._ask("DELETE", f"/groups/{group_id}")

    def add_member(self, group_id: int, username: str) -> Group:
        """Somebody of the institute joins a group."""
        return self._one(Group, "PUT", f"/groups/{group_id}/members/{part(username)}")

    def remove_member(self, group_id: int, username: str) -> Group:
        """And leaves it."""
        return self._one(Group, "DELETE", f"/groups/{group_id}/members/{part(username)}")

    def grants(self) -> Iterator[Grant]:
        """Studies shown to those they do not belong to."""
        return self._all(Grant, "/grants", {})

    def grant(
        self, study_instance_uid: str, *, user: str | None = None, group: str | None = None, institute: str | None = None,
        reason: str = "", until: datetime | None = None,
    ) -> Grant:  # fmt: skip
        """Show a study to one user, group or institute."""
        body = given(
            study_instance_uid=study_instance_uid, user=user, group=group, institute=institute, reason=reason,
            until=None if until is None else until.isoformat(),
        )  # fmt: skip
        return self._one(Grant, "POST", "/grants", body)

    def end_grant(self, grant_id: int) -> None:
        """No longer. Raises NotFound."""
        self._ask("DELETE", f"/grants/{grant_id}")

    def registrations(self, *, state: str | None = None) -> Iterator[Registration]:
        """Who wants an account."""
        return self._all(Registration, "/registrations", {"state": state})

    def approve(self, registration_id: int, **settings: Any) -> User:
        """Make the account; `settings` as in the API (role, memberships, username)."""
        return self._one(User, "POST", f"/registrations/{registration_id}/approve", settings)

    def refuse(self, registration_id: int, *, reason: str = "") -> Registration:
        """No account."""
        return self._one(Registration, "POST", f"/registrations/{registration_id}/refuse", {"reason": reason})

    def tokens(self) -> Iterator[Token]:
        """Our own API tokens."""
        return self._all(Token, "/tokens", {})

    def make_token(
        self, name: str, *, actions: Sequence[str] = (), nodes: Sequence[str] = (), institutes: Sequence[str] = (),
        expires_days: int | None = None,
    ) -> NewToken:  # fmt: skip
        """A new token of ours; it is shown only now."""
        body = given(name=name, actions=list(actions), nodes=list(nodes), institutes=list(institutes), expires_days=expires_days)
        return self._one(NewToken, "POST", "/tokens", body)

    def revoke_token(self, token_id: int) -> Token:
        """It no longer opens anything."""
        return self._one(Token, "DELETE", f"/tokens/{token_id}")
