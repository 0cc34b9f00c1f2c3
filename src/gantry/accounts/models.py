"""People, where they belong, what they may, and the keys they hold."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

import gantry.accounts.second_factor_secrets  # noqa: F401  says where they lie

#: Roles that a person can have everywhere; `none`: only what memberships give.
ROLE_NAMES = ("administrator", "operator", "clinician", "researcher", "viewer", "none")
#: Roles inside an institute. To administrate is to administrate the whole instance.
MEMBER_ROLES = ("operator", "clinician", "researcher", "viewer")


def _choices(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


class Institute(models.Model):
    """A tenant: people and studies that belong together. `all_studies`: every study of the instance is theirs."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    description = models.TextField(db_default="", default="", blank=True)
    all_studies = models.BooleanField(db_default=False, default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(Lower("name"), name="institute_name_once")]

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person or a machine account. `role` is a set of actions (see `accounts.actions`) that holds everywhere.

    Memberships give roles inside institutes; of several one is active at a time.
    """

    role = models.TextField(
        default="viewer", choices=_choices(ROLE_NAMES),
        help_text="holds everywhere; none: only what memberships in institutes give; administrator may do everything",
    )  # fmt: skip
    must_change_password = models.BooleanField(
        default=False, help_text="Nothing else is possible before the password is replaced"
    )
    active_institute = models.ForeignKey(Institute, models.SET_NULL, null=True, blank=True, related_name="+")
    phone = models.TextField(db_default="", default="", blank=True)
    department = models.TextField(db_default="", default="", blank=True)
    locked_reason = models.TextField(db_default="", default="", blank=True, help_text="Why the account is switched off")

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(condition=Q(role__in=ROLE_NAMES), name="user_role_is_known"),
            models.UniqueConstraint(Lower("email"), condition=~Q(email=""), name="user_email_once"),
        ]


class Membership(models.Model):
    """A person in an institute, with the role they have there."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    institute = models.ForeignKey(Institute, models.CASCADE, related_name="memberships")
    role = models.TextField(choices=_choices(MEMBER_ROLES))
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "institute"], name="membership_once"),
            models.CheckConstraint(condition=Q(role__in=MEMBER_ROLES), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.institute_id}: {self.role}"


class Group(models.Model):
    """People inside an institute who may do more than their role says."""

    id = models.BigAutoField(primary_key=True)
    institute = models.ForeignKey(Institute, models.CASCADE, related_name="groups")
    name = models.TextField()
    actions = ArrayField(models.TextField(), default=list, help_text="What its members may beyond their role")
    members = models.ManyToManyField(Membership, related_name="groups", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(F("institute"), Lower("name"), name="group_name_once")]

    def __str__(self) -> str:
        return self.name


class Source(models.Model):
    """A rule by which studies come to belong to an institute: what arrives with this value is theirs.

    `pattern` has the wildcards * and ? and is compared without case.
    """

    KINDS = ("calling_aet", "called_aet", "address", "institution_name")

    id = models.BigAutoField(primary_key=True)
    institute = models.ForeignKey(Institute, models.CASCADE, related_name="sources")
    kind = models.TextField(choices=_choices(KINDS))
    pattern = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["institute", "kind", "pattern"], name="source_once")]

    def __str__(self) -> str:
        return f"{self.kind}={self.pattern}"


class Belonging(models.Model):
    """A study of an institute, by its sources; kept by `catalogue.belong`. No foreign key: studies live in a room above."""

    id = models.BigAutoField(primary_key=True)
    study_id = models.BigIntegerField()
    institute = models.ForeignKey(Institute, models.CASCADE, related_name="+", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["institute", "study_id"], name="belonging_once")]
        indexes = [models.Index(fields=["study_id"], name="belonging_study")]


class Grant(models.Model):
    """A study shown to one user, group or institute that it does not belong to, perhaps until a moment."""

    id = models.BigAutoField(primary_key=True)
    study_id = models.BigIntegerField()
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="grants")
    group = models.ForeignKey(Group, models.CASCADE, null=True, related_name="grants")
    institute = models.ForeignKey(Institute, models.CASCADE, null=True, related_name="grants")
    reason = models.TextField(db_default="", default="")
    until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study_id", "user", "group", "institute"], name="grant_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True, institute__isnull=True)
                | Q(user__isnull=True, group__isnull=False, institute__isnull=True)
                | Q(user__isnull=True, group__isnull=True, institute__isnull=False),
                name="grant_to_one",
            ),
        ]


class Token(models.Model):
    """An API token. The token itself is shown once; we keep its SHA-256 and a prefix to recognise it by."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.TextField()
    prefix = models.TextField()
    digest = models.BinaryField(max_length=32, unique=True)
    actions = ArrayField(models.TextField(), default=list, help_text="Empty: all actions of its user")
    nodes = ArrayField(models.TextField(), default=list, db_default=[], help_text="Names of nodes; empty: all")
    institutes = ArrayField(models.BigIntegerField(), null=True, help_text="Empty: all institutes of its user")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    last_address = models.TextField(db_default="", default="")
    revoked_at = models.DateTimeField(null=True)


class Session(AbstractBaseSession):
    """A session of a browser, with whose it is, so that people can see and end theirs."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="sessions")
    public_id = models.UUIDField(unique=True, help_text="What lists call it by: the key itself opens the session")
    address = models.TextField(default="")
    agent = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)

    class Meta(AbstractBaseSession.Meta):
        abstract = False

    @classmethod
    def get_session_store_class(cls) -> type:
        """Django asks for it when it clears expired sessions."""
        from gantry.accounts.session_store import SessionStore

        return SessionStore


class Registration(models.Model):
    """Somebody who wants an account: confirms their address first, then an administrator decides."""

    STATES = ("unconfirmed", "waiting", "approved", "refused")

    id = models.BigAutoField(primary_key=True)
    state = models.TextField(choices=_choices(STATES), default="unconfirmed")
    username = models.TextField()
    first_name = models.TextField(default="")
    last_name = models.TextField(default="")
    email = models.TextField()
    phone = models.TextField(default="")
    department = models.TextField(default="")
    message = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now())
    confirmed_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        indexes = [models.Index(Lower("email"), name="registration_email")]


class MailOrder(models.Model):
    """A mail to be written: the worker makes its link at the moment it sends it, so that no link lies in the database."""

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    address = models.TextField()
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    registration = models.ForeignKey(Registration, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    error = models.TextField(default="")


class MailLink(models.Model):
    """A link that was mailed: its SHA-256, what it is good for, and until when. It works once."""

    digest = models.BinaryField(max_length=32, primary_key=True)
    purpose = models.TextField(help_text="confirm: an address; password: choose a new one")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    registration = models.ForeignKey(Registration, models.CASCADE, null=True, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class SignInFailures(models.Model):
    """Failures to sign in, per name and address or per address; the key is a digest, names are not kept."""

    key = models.BinaryField(max_length=32, primary_key=True)
    failures = models.IntegerField(default=0)
    last_at = models.DateTimeField(db_default=Now(), db_index=True)
    locked_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "sign in failures"
