"""Routes: people, institutes, memberships, groups, grants, registrations, everybody's tokens and sessions."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Status

from gantry.accounts import explain, institutes, people, registrations, second_factor, tokens, trail
from gantry.accounts.actions import MEANINGS, ROLES
from gantry.accounts.actors import actor_of_user
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.models import Grant, Group, Institute, Membership, Registration, Session, Source, Token, User
from gantry.accounts.page import PageQuery, RowId, answer, by_id
from gantry.accounts.people_schemas import (
    ActionPage,
    Approval,
    Ended,
    GrantIn,
    GrantOut,
    GrantPage,
    InstituteChange,
    InstituteIn,
    InstituteOut,
    InstitutePage,
    MembershipIn,
    MembershipOut,
    MembershipPage,
    MembershipQuery,
    Name,
    PeopleGroupIn,
    PeopleGroupOut,
    PeopleGroupPage,
    Refusal,
    RegistrationOut,
    RegistrationPage,
    RegistrationQuery,
    SessionOfPage,
    SourceIn,
    SourceOut,
    UserChange,
    UserIn,
    UserMayQuery,
    UserOut,
    UserPage,
    UserQuery,
    UserSessions,
    UserToken,
    UserTokenPage,
)  # fmt: skip
from gantry.accounts.route import actor_of, may
from gantry.accounts.schemas import MayOut
from gantry.audit.record import By

router = Router(tags=["people"])


def _by(request: HttpRequest) -> By:
    return trail.by_request(request)


def _deciding(request: HttpRequest) -> User | None:
    return User.objects.filter(pk=actor_of(request).user_id or 0).first()


@router.get("/users", auth=may("people.view"), response=UserPage, summary="List people")
def list_users(request: HttpRequest, query: Query[UserQuery]) -> dict[str, Any]:
    """People, in the order in which they came."""
    rows = User.objects.prefetch_related("memberships__institute")
    if query.q:
        names = ("username", "first_name", "last_name", "department", "email")
        wanted = Q()
        for name in names:
            wanted |= Q(**{f"{name}__icontains": query.q})
        rows = rows.filter(wanted)
    if query.institute:
        rows = rows.filter(memberships__institute__name__iexact=query.institute)
    if query.active is not None:
        rows = rows.filter(is_active=query.active)
    found, cursor = by_id(rows, query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/users", auth=may("people.edit"), response={201: UserOut}, summary="Add a person")
def add_user(request: HttpRequest, body: UserIn) -> Status[User]:
    """Make an account; with `invite` its owner is mailed a link to choose a password."""
    if body.invite and not body.email:
        raise Invalid("An invitation needs an e-mail address.", remedy='Give one, or say "invite": false for a machine account.')
    person = people.Person(**body.dict(exclude={"memberships", "invite"}))
    return Status(201, people.add(person, _by(request), memberships=body.memberships, invite=body.invite))


@router.get("/users/{username}", auth=may("people.view"), response=UserOut, summary="Get a person")
def get_user(request: HttpRequest, username: Path[Name]) -> User:
    """One person."""
    return people.find(username)


@router.patch("/users/{username}", auth=may("people.edit"), response=UserOut, summary="Change, lock or unlock a person")
def change_user(request: HttpRequest, username: Path[Name], body: UserChange) -> User:
    """A locked account is signed out at once, and its tokens stop working. The last administrator stays one."""
    changes = {name: value for name, value in body.dict(exclude={"active", "reason"}).items() if value is not None}
    user = people.change(username, _by(request), **changes) if changes else people.find(username)
    if body.active is not None:
        user = people.unlock(username, _by(request)) if body.active else people.lock(username, _by(request), body.reason)
    return user


@router.get("/users/{username}/sessions", auth=may("people.view"), response=UserSessions, summary="Where is somebody signed in?")
def list_user_sessions(request: HttpRequest, username: Path[Name]) -> dict[str, Any]:
    """Last used first, at most 100."""
    rows = Session.objects.filter(user=people.find(username), expire_date__gt=timezone.now()).order_by("-last_used_at")
    return answer(request, [
        {"id": row.public_id, "address": row.address, "agent": row.agent, "created_at": row.created_at,
         "last_used_at": row.last_used_at, "expires_at": row.expire_date} for row in rows[:100]
    ], None)  # fmt: skip


@router.delete("/users/{username}/sessions", auth=may("people.edit"), response=Ended, summary="End all sessions of somebody")
def end_user_sessions(request: HttpRequest, username: Path[Name]) -> dict[str, int]:
    """At once."""
    return {"ended": people.end_sessions(people.find(username), _by(request))}


@router.delete(
    "/users/{username}/second-factor", auth=may("people.edit"), response={204: None}, summary="Take away a second factor"
)
def drop_second_factor(request: HttpRequest, username: Path[Name]) -> Status[None]:
    """For somebody who lost the authenticator and the recovery codes."""
    second_factor.drop(people.find(username), _by(request))
    return Status(204, None)


@router.get("/users/{username}/may", auth=may("people.view"), response=MayOut, summary="May somebody, and why not?")
def explain_user(request: HttpRequest, username: Path[Name], query: Query[UserMayQuery]) -> dict[str, Any]:
    """As a session of theirs would be answered now."""
    decision = explain.explain(actor_of_user(people.find(username)), query.action, query.study)
    return {"allowed": decision.allowed, "reason": decision.reason, "action": query.action}


@router.get("/users/tokens/all", auth=may("people.view"), response=UserTokenPage, summary="List everybody's tokens")
def list_all_tokens(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Newest first, those that ended too."""
    found, cursor = by_id(Token.objects.select_related("user"), query, newest_first=True)
    return answer(request, found, cursor)


@router.delete("/users/tokens/{token_id}", auth=may("people.edit"), response=UserToken, summary="Revoke somebody's token")
def revoke_any_token(request: HttpRequest, token_id: Path[RowId]) -> Token:
    """At once and for good: the next request with it fails."""
    token = Token.objects.select_related("user").filter(pk=token_id).first()
    if token is None:
        raise NotFound("There is no such token.")
    return tokens.end(token, _by(request))


@router.get("/users/sessions/all", auth=may("people.view"), response=SessionOfPage, summary="Who is signed in?")
def list_all_sessions(request: HttpRequest) -> dict[str, Any]:
    """Everybody's sessions, last used first, at most 500."""
    rows = Session.objects.select_related("user").filter(user__isnull=False, expire_date__gt=timezone.now())
    return answer(request, [
        {"username": str(row.user), "id": row.public_id, "address": row.address, "agent": row.agent,
         "created_at": row.created_at, "last_used_at": row.last_used_at, "expires_at": row.expire_date}
        for row in rows.order_by("-last_used_at")[:500]
    ], None)  # fmt: skip


@router.get("/actions", auth=may("people.view"), response=ActionPage, summary="What is there to be allowed?")
def list_actions(request: HttpRequest) -> dict[str, Any]:
    """Every action with its meaning and the roles that have it."""
    return answer(request, [
        {"name": name, "meaning": meaning, "roles": [role for role, actions in ROLES.items() if name in actions]}
        for name, meaning in sorted(MEANINGS.items())
    ], None)  # fmt: skip


@router.get("/institutes", auth=may("people.view"), response=InstitutePage, summary="List institutes")
def list_institutes(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Institutes with the sources of their studies."""
    found, cursor = by_id(Institute.objects.prefetch_related("sources"), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/institutes", auth=may("people.edit"), response={201: InstituteOut}, summary="Add an institute")
def add_institute(request: HttpRequest, body: InstituteIn) -> Status[Institute]:
    """Without sources it has no studies, unless all are theirs."""
    made = institutes.add(body.name, _by(request), description=body.description, all_studies=body.all_studies)
    return Status(201, made)


@router.patch("/institutes/{name}", auth=may("people.edit"), response=InstituteOut, summary="Change an institute")
def change_institute(request: HttpRequest, name: Path[Name], body: InstituteChange) -> Institute:
    """What is given is changed."""
    return institutes.change(name, _by(request), new_name=body.name, description=body.description, all_studies=body.all_studies)


@router.delete("/institutes/{name}", auth=may("people.edit"), response={204: None}, summary="Remove an institute")
def remove_institute(request: HttpRequest, name: Path[Name]) -> Status[None]:
    """With its memberships, groups and sources. People and studies stay."""
    institutes.remove(name, _by(request))
    return Status(204, None)


@router.post("/institutes/{name}/sources", auth=may("people.edit"), response={201: SourceOut}, summary="Add a source")
def add_source(request: HttpRequest, name: Path[Name], body: SourceIn) -> Status[Source]:
    """What arrives with it belongs to the institute; studies that are there are sorted anew in the background."""
    return Status(201, institutes.add_source(name, body.kind, body.pattern, _by(request)))


@router.delete("/institutes/{name}/sources/{source_id}", auth=may("people.edit"), response={204: None}, summary="Remove a source")
def remove_source(request: HttpRequest, name: Path[Name], source_id: Path[RowId]) -> Status[None]:
    """Studies that came by it alone belong to the institute no longer."""
    institutes.remove_source(name, source_id, _by(request))
    return Status(204, None)


@router.get("/memberships", auth=may("people.view"), response=MembershipPage, summary="List memberships")
def list_memberships(request: HttpRequest, query: Query[MembershipQuery]) -> dict[str, Any]:
    """Who is in which institute, with which role and groups."""
    rows = Membership.objects.select_related("user", "institute").prefetch_related("groups")
    if query.user:
        rows = rows.filter(user__username__iexact=query.user)
    if query.institute:
        rows = rows.filter(institute__name__iexact=query.institute)
    found, cursor = by_id(rows, query, newest_first=False)
    return answer(request, found, cursor)


@router.put("/memberships", auth=may("people.edit"), response=MembershipOut, summary="Put somebody into an institute")
def set_membership(request: HttpRequest, body: MembershipIn) -> Membership:
    """Or change the role they have there."""
    return institutes.set_member(body.institute, body.user, body.role, _by(request))


@router.delete("/memberships/{membership_id}", auth=may("people.edit"), response={204: None}, summary="Take somebody out")
def remove_membership(request: HttpRequest, membership_id: Path[RowId]) -> Status[None]:
    """Out of the institute and its groups."""
    row = Membership.objects.select_related("user", "institute").filter(pk=membership_id).first()
    if row is None:
        raise NotFound("There is no such membership.")
    institutes.remove_member(row.institute.name, row.user.username, _by(request))
    return Status(204, None)


@router.get("/groups", auth=may("people.view"), response=PeopleGroupPage, summary="List groups")
def list_groups(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Groups with what they give and their members."""
    rows = Group.objects.select_related("institute").prefetch_related("members__user")
    found, cursor = by_id(rows, query, newest_first=False)
    return answer(request, found, cursor)


@router.put("/groups", auth=may("people.edit"), response=PeopleGroupOut, summary="Make or change a group")
def set_group(request: HttpRequest, body: PeopleGroupIn) -> Group:
    """Its members may do these actions beyond their role, with the studies of the institute."""
    return institutes.set_group(body.institute, body.name, body.actions, _by(request))


def _group(group_id: int) -> Group:
    row = Group.objects.select_related("institute").filter(pk=group_id).first()
    if row is None:
        raise NotFound("There is no such group.")
    return row


@router.delete("/groups/{group_id}", auth=may("people.edit"), response={204: None}, summary="Remove a group")
def remove_group(request: HttpRequest, group_id: Path[RowId]) -> Status[None]:
    """Its members stay in the institute."""
    row = _group(group_id)
    institutes.remove_group(row.institute.name, row.name, _by(request))
    return Status(204, None)


@router.put("/groups/{group_id}/members/{username}", auth=may("people.edit"), response=PeopleGroupOut, summary="Put into a group")
def join_group(request: HttpRequest, group_id: Path[RowId], username: Path[Name]) -> Group:
    """A member of the institute."""
    row = _group(group_id)
    return institutes.set_in_group(row.institute.name, row.name, username, _by(request), member=True)


@router.delete(
    "/groups/{group_id}/members/{username}", auth=may("people.edit"), response=PeopleGroupOut, summary="Take out of a group"
)
def leave_group(request: HttpRequest, group_id: Path[RowId], username: Path[Name]) -> Group:
    """They stay in the institute."""
    row = _group(group_id)
    return institutes.set_in_group(row.institute.name, row.name, username, _by(request), member=False)


@router.get("/grants", auth=may("people.view"), response=GrantPage, summary="List grants")
def list_grants(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Studies shown to somebody they do not belong to, newest first."""
    found, cursor = by_id(Grant.objects.select_related("user", "group", "institute"), query, newest_first=True)
    with connection.cursor() as reading:
        reading.execute(
            "SELECT id, study_instance_uid FROM catalogue_study WHERE id = ANY(%s::bigint[])", [[row.study_id for row in found]]
        )
        uids = dict(reading.fetchall())
    return answer(request, [_shown_grant(row, uids.get(row.study_id, "")) for row in found], cursor)


def _shown_grant(row: Grant, uid: str) -> dict[str, Any]:
    return {
        "id": row.pk, "study_id": row.study_id, "study_instance_uid": uid, "to": GrantOut.resolve_to(row),
        "reason": row.reason, "until": row.until,
    }  # fmt: skip


@router.post("/grants", auth=may("people.edit"), response={201: GrantOut}, summary="Show a study to somebody")
def add_grant(request: HttpRequest, body: GrantIn) -> Status[dict[str, Any]]:
    """What they may do with it, their role says."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM catalogue_study WHERE study_instance_uid = %s", [body.study_instance_uid])
        found = cursor.fetchone()
    if found is None:
        raise NotFound("There is no such study.")
    group = institutes.find_group(body.institute, body.group) if body.group else None
    made = institutes.grant(
        (found[0], body.study_instance_uid), _by(request), user=people.find(body.user) if body.user else None, group=group,
        institute=institutes.find(body.institute) if body.institute and not group else None, until=body.until,
        reason=body.reason,
    )  # fmt: skip
    return Status(201, _shown_grant(made, body.study_instance_uid))


@router.delete("/grants/{grant_id}", auth=may("people.edit"), response={204: None}, summary="Take a grant back")
def end_grant(request: HttpRequest, grant_id: Path[RowId]) -> Status[None]:
    """At once."""
    institutes.end_grant(grant_id, _by(request))
    return Status(204, None)


@router.get("/registrations", auth=may("people.view"), response=RegistrationPage, summary="Who asks for an account?")
def list_registrations(request: HttpRequest, query: Query[RegistrationQuery]) -> dict[str, Any]:
    """Those that wait for a decision, or those of another state."""
    rows = Registration.objects.all()
    if query.state:
        rows = rows.filter(state=query.state)
    found, cursor = by_id(rows, query, newest_first=False)
    return answer(request, found, cursor)


@router.post(
    "/registrations/{registration_id}/approve", auth=may("people.edit"), response={201: UserOut}, summary="Approve a registration"
)
def approve_registration(request: HttpRequest, registration_id: Path[RowId], body: Approval) -> Status[User]:
    """Make the account; its owner is mailed a link to choose a password."""
    user = registrations.approve(
        registration_id, _by(request), role=body.role, memberships=body.memberships, username=body.username,
        deciding=_deciding(request),
    )  # fmt: skip
    return Status(201, user)


@router.post(
    "/registrations/{registration_id}/refuse", auth=may("people.edit"), response=RegistrationOut, summary="Refuse a registration"
)
def refuse_registration(request: HttpRequest, registration_id: Path[RowId], body: Refusal) -> Registration:
    """The person is told, without the reason."""
    return registrations.refuse(registration_id, _by(request), reason=body.reason, deciding=_deciding(request))
