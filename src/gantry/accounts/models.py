"""People and the keys they hold."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class User(AbstractUser):
    """A person or a machine account. `role` names the set of actions (see `accounts.actions`)."""

    role = models.TextField(
        default="viewer",
        choices=[("administrator", "administrator"), ("operator", "operator"), ("viewer", "viewer")],
        help_text="viewer reads, operator keeps things running, administrator may do everything",
    )
    must_change_password = models.BooleanField(
        default=False, help_text="Nothing else is possible before the password is replaced"
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(condition=Q(role__in=["administrator", "operator", "viewer"]), name="user_role_known"),
        ]


class Token(models.Model):
    """An API token. The token itself is shown once; we keep its SHA-256 and a prefix to recognise it by."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.TextField()
    prefix = models.TextField()
    digest = models.BinaryField(max_length=32, unique=True)
    actions = ArrayField(models.TextField(), default=list, help_text="Empty: all actions of its user")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)


class SignInFailures(models.Model):
    """Failures to sign in, per name and address or per address; the key is a digest, names are not kept."""

    key = models.BinaryField(max_length=32, primary_key=True)
    failures = models.IntegerField(default=0)
    last_at = models.DateTimeField(db_default=Now(), db_index=True)
    locked_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "sign in failures"
