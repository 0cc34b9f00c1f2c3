"""What the routes about people take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from gantry.accounts.page import Moment, Page, PageQuery, Text, Uid
from gantry.accounts.schemas import InstituteRole

Name = Annotated[Text, Field(min_length=1, max_length=150)]
Role = Literal["administrator", "operator", "clinician", "researcher", "viewer", "none"]
MemberRole = Literal["operator", "clinician", "researcher", "viewer"]
Short = Annotated[Text, Field(max_length=150)]
Reason = Annotated[Text, Field(max_length=1000)]


class UserOut(Schema):
    """A person or a machine account."""

    username: str = Field(examples=["jane"])
    email: str
    first_name: str
    last_name: str
    phone: str
    department: str
    role: str = Field(description="Holds everywhere; none: only what memberships give", examples=["none"])
    is_active: bool = Field(description="False: locked")
    locked_reason: str
    must_change_password: bool
    date_joined: datetime
    last_login: datetime | None
    memberships: list[InstituteRole]

    @staticmethod
    def resolve_memberships(user: Any) -> list[dict[str, str]]:
        """From the rows that were fetched with the people."""
        if isinstance(user, dict):
            return list(user["memberships"])
        return [{"name": row.institute.name, "role": row.role} for row in user.memberships.all()]


class UserPage(Page[UserOut]):
    """A page of people."""


class UserQuery(PageQuery):
    """Which people."""

    q: Short = Field(default="", description="Contained in user name, name, department or e-mail address")
    institute: Short = ""
    active: bool | None = None


class UserIn(Schema):
    """Somebody who gets an account."""

    username: Name = Field(examples=["jane"])
    email: Annotated[Text, Field(max_length=254)] = ""
    role: Role = "none"
    first_name: Short = ""
    last_name: Short = ""
    phone: Annotated[Text, Field(max_length=64)] = ""
    department: Annotated[Text, Field(max_length=128)] = ""
    memberships: dict[Name, MemberRole] = Field(default_factory=dict, max_length=100, examples=[{"Radiology": "clinician"}])
    invite: bool = Field(default=True, description="Mail a link to choose a password; needs an address")


class UserChange(Schema):
    """What is given is changed."""

    email: Annotated[Text, Field(max_length=254)] | None = None
    role: Role | None = None
    first_name: Short | None = None
    last_name: Short | None = None
    phone: Annotated[Text, Field(max_length=64)] | None = None
    department: Annotated[Text, Field(max_length=128)] | None = None
    active: bool | None = Field(default=None, description="False locks, true unlocks")
    reason: Reason = ""


class Ended(Schema):
    """How many ended."""

    ended: int


class SourceOut(Schema):
    """A rule by which studies belong to an institute."""

    id: int
    kind: str = Field(examples=["calling_aet"])
    pattern: str = Field(examples=["RAD_*"])


class SourceIn(Schema):
    """What arrives with this is theirs. A node is named by its AE title."""

    kind: Literal["calling_aet", "called_aet", "address", "institution_name"]
    pattern: Annotated[Text, Field(min_length=1, max_length=200, description="Wildcards * and ?, any case")]


class InstituteOut(Schema):
    """An institute."""

    name: str = Field(examples=["Radiology"])
    description: str
    all_studies: bool = Field(description="Every study of this instance is theirs")
    created_at: datetime
    sources: list[SourceOut]

    @staticmethod
    def resolve_sources(institute: Any) -> list[Any]:
        """In the order in which they were made."""
        if isinstance(institute, dict):
            return list(institute["sources"])
        return sorted(institute.sources.all(), key=lambda row: row.pk)


class InstitutePage(Page[InstituteOut]):
    """A page of institutes."""


class InstituteIn(Schema):
    """An institute to make."""

    name: Annotated[Text, Field(min_length=1, max_length=100, examples=["Radiology"])]
    description: Reason = ""
    all_studies: bool = False


class InstituteChange(Schema):
    """What is given is changed."""

    name: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    description: Reason | None = None
    all_studies: bool | None = None


class MembershipOut(Schema):
    """A person in an institute."""

    id: int
    user: str
    institute: str
    role: str
    groups: list[str]

    @staticmethod
    def resolve_user(row: Any) -> str:
        """By name."""
        return row["user"] if isinstance(row, dict) else str(row.user.username)

    @staticmethod
    def resolve_institute(row: Any) -> str:
        """By name."""
        return row["institute"] if isinstance(row, dict) else str(row.institute.name)

    @staticmethod
    def resolve_groups(row: Any) -> list[str]:
        """By name."""
        return list(row["groups"]) if isinstance(row, dict) else sorted(group.name for group in row.groups.all())


class MembershipPage(Page[MembershipOut]):
    """A page of memberships."""


class MembershipQuery(PageQuery):
    """Which memberships."""

    user: Short = ""
    institute: Short = ""


class MembershipIn(Schema):
    """A person, an institute, the role there."""

    user: Name
    institute: Name
    role: MemberRole


class PeopleGroupOut(Schema):
    """A group inside an institute."""

    id: int
    institute: str
    name: str
    actions: list[str] = Field(description="What its members may beyond their role")
    members: list[str]

    @staticmethod
    def resolve_institute(row: Any) -> str:
        """By name."""
        return row["institute"] if isinstance(row, dict) else str(row.institute.name)

    @staticmethod
    def resolve_members(row: Any) -> list[str]:
        """By name."""
        if isinstance(row, dict):
            return list(row["members"])
        return sorted(member.user.username for member in row.members.all())


class PeopleGroupPage(Page[PeopleGroupOut]):
    """A page of groups."""


class PeopleGroupIn(Schema):
    """A group and what it gives."""

    institute: Name
    name: Annotated[Text, Field(min_length=1, max_length=100, examples=["Tumour board"])]
    actions: list[Annotated[Text, Field(max_length=40)]] = Field(max_length=100, examples=[["studies.download"]])


class GrantOut(Schema):
    """A study that is shown to somebody it does not belong to."""

    id: int
    study_id: int
    study_instance_uid: str = Field(description="Empty: the study is no longer there")
    to: str = Field(examples=["user jane"])
    reason: str
    until: datetime | None

    @staticmethod
    def resolve_to(row: Any) -> str:
        """Kind and name."""
        if isinstance(row, dict):
            return str(row["to"])
        if row.user_id:
            return f"user {row.user.username}"
        return f"group {row.group.name}" if row.group_id else f"institute {row.institute.name}"


class GrantPage(Page[GrantOut]):
    """A page of grants."""


class GrantIn(Schema):
    """Exactly one of user, institute, or group with its institute."""

    study_instance_uid: Uid
    user: Short = ""
    institute: Short = ""
    group: Short = ""
    until: Moment | None = Field(default=None, description="Null: until it is taken back")
    reason: Reason = ""


class RegistrationOut(Schema):
    """Somebody who asks for an account."""

    id: int
    state: str = Field(description="unconfirmed, waiting, approved or refused", examples=["waiting"])
    username: str
    first_name: str
    last_name: str
    email: str
    phone: str
    department: str
    message: str
    created_at: datetime
    confirmed_at: datetime | None
    decided_at: datetime | None


class RegistrationPage(Page[RegistrationOut]):
    """A page of registrations."""


class RegistrationQuery(PageQuery):
    """Which registrations."""

    state: Literal["", "unconfirmed", "waiting", "approved", "refused"] = "waiting"


class Approval(Schema):
    """With which rights."""

    role: Role = "none"
    memberships: dict[Name, MemberRole] = Field(default_factory=dict, max_length=100, examples=[{"Radiology": "clinician"}])
    username: Short = Field(default="", description="Another user name than the one that was wished for")


class Refusal(Schema):
    """Why not; kept in the audit, not told."""

    reason: Reason = ""


class UserToken(Schema):
    """A token of somebody, as an administrator sees it."""

    id: int
    user: str
    name: str
    prefix: str
    actions: list[str]
    nodes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    revoked_at: datetime | None

    @staticmethod
    def resolve_user(row: Any) -> str:
        """By name."""
        return row["user"] if isinstance(row, dict) else str(row.user.username)


class UserTokenPage(Page[UserToken]):
    """A page of everybody's tokens."""


class UserMayQuery(Schema):
    """What the person would like to do."""

    action: Annotated[Text, Field(max_length=40, examples=["studies.download"])]
    study: Uid | None = None


class UserSession(Schema):
    """Where a person is signed in."""

    id: UUID
    address: str
    agent: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


class UserSessions(Page[UserSession]):
    """Sessions of a person."""


class SessionOfOut(UserSession):
    """A session of somebody."""

    username: str


class SessionOfPage(Page[SessionOfOut]):
    """Sessions of everybody."""


class ActionOut(Schema):
    """Something that a person may or may not do."""

    name: str = Field(examples=["studies.download"])
    meaning: str
    roles: list[str] = Field(description="The roles that have it", examples=[["administrator", "operator", "clinician"]])


class ActionPage(Page[ActionOut]):
    """All actions, on one page."""
