"""Who may call us, who was refused, and what we were asked to commit to."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Caller(models.Model):
    """What the caller of an AE title may do. Without `enabled` it is refused whatever else stands here.

    `hosts` are addresses and networks from which it may call (empty: any); `certificate` is the SHA-256 of its
    certificate in hexadecimal (empty: none is asked for).
    """

    id = models.BigAutoField(primary_key=True)
    aet = models.TextField(unique=True, db_collation="C")
    name = models.TextField(default="")
    hosts = ArrayField(models.TextField(), default=list)
    certificate = models.TextField(default="")
    may_echo = models.BooleanField(default=True)
    may_store = models.BooleanField(default=True)
    may_find = models.BooleanField(default=False)
    may_get = models.BooleanField(default=False)
    may_move = models.BooleanField(default=False)
    may_commit = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    created_by = models.TextField(default="")

    def __str__(self) -> str:
        return self.aet


class RefusedCaller(models.Model):
    """Somebody who was not let in, from where and why; `count` times between the two moments."""

    id = models.BigAutoField(primary_key=True)
    aet = models.TextField()
    host = models.TextField()
    reason = models.TextField()
    count = models.BigIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["aet", "host", "reason"], name="refused_caller_once")]

    def __str__(self) -> str:
        return f"{self.aet} from {self.host}"


class Commitment(models.Model):
    """A request to commit to the safekeeping of instances (PS3.4 annex J), and its report.

    `instances` is a list of [SOP Class UID, SOP Instance UID]; `failures` of [class, instance, Failure Reason
    (0008,1197)]. status: `asked` -> `judged` -> `reported`, or `given up` when the caller could not be told.
    """

    id = models.BigAutoField(primary_key=True)
    transaction_uid = models.TextField()
    calling_aet = models.TextField()
    called_aet = models.TextField()
    remote_address = models.TextField(default="")
    instances = models.JSONField()
    failures = models.JSONField(default=list)
    status = models.TextField(default="asked")
    attempts = models.IntegerField(default=0)
    error = models.TextField(default="")
    created_at = models.DateTimeField()
    judged_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status__in=["asked", "judged"]), name="commitment_open"),
        ]

    def __str__(self) -> str:
        return self.transaction_uid
