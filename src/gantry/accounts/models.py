"""People and the keys they hold."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models


class User(AbstractUser):
    """A person or a machine account. `role` names the set of actions (see `accounts.actions`)."""

    role = models.TextField(default="viewer")
    must_change_password = models.BooleanField(default=False)


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
