"""Alerts, and webhooks with the log of what was sent to them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gantry import sealing

PURPOSE = "webhook:{key}"
sealing.declare("alerts_webhook", "secret", purpose=PURPOSE)


class Webhook(models.Model):
    """Somebody who wants to be told over HTTP. `position` is how far in the change feed they were served.

    `failures` in a row hold it back until `not_before`.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    url = models.TextField()
    kinds = ArrayField(models.TextField(), help_text="Kinds of facts")
    secret = models.TextField(default="", help_text="Sealed, or where it is; shown once")
    enabled = models.BooleanField(default=True)
    position = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0, db_default=0)
    not_before = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.TextField(default="")

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """One message to one webhook, and what became of it. `body` is sent as it stands here, each time the same."""

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="notices")
    kind = models.TextField()
    body = models.TextField()
    state = models.TextField(default="waiting", choices=[(word, word) for word in ("waiting", "sent", "dead")])
    attempts = models.IntegerField(default=0, db_default=0)
    not_before = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    status = models.IntegerField(null=True, help_text="HTTP status of the last answer")
    explanation = models.TextField(default="", help_text="Why the last attempt failed")

    class Meta:
        indexes = [
            models.Index("webhook", "id", name="notice_waiting", condition=Q(state="waiting")),
            models.Index("created_at", name="notice_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Alert(models.Model):
    """Something that needs a person. One row from its beginning to its end; at most one per rule and subject is not closed.

    `state`: `seen` (not told yet, it may pass) -> `open` -> `acknowledged` -> `closed`. `absent_since`: the cause was
    not there at the last look, it will be closed when that lasts.
    """

    id = models.BigAutoField(primary_key=True)
    rule = models.TextField()
    subject = models.TextField(help_text="Which destination, AE title, volume, ...")
    state = models.TextField(
        default="seen", choices=[(word, word) for word in ("seen", "open", "acknowledged", "closed")]
    )  # fmt: skip
    message = models.TextField()
    remedy = models.TextField(default="")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    absent_since = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.TextField(default="")
    closed_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    mails = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rule", "subject"], condition=~Q(state="closed"), name="alert_once"),
        ]
        indexes = [models.Index("opened_at", name="alert_opened")]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}"


class Sample(models.Model):
    """What was measured in one minute, hour or day: the roll-up behind the dashboard. `subject`: AE title, node, or empty."""

    id = models.BigAutoField(primary_key=True)
    step = models.TextField(choices=[(word, word) for word in ("minute", "hour", "day")])
    at = models.DateTimeField(help_text="Where the step begins")
    measure = models.TextField(help_text="received_instances, received_bytes, forwarded_instances, forwarded_bytes, index_lag")
    subject = models.TextField(default="")
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["step", "measure", "at", "subject"], name="sample_once")]

    def __str__(self) -> str:
        return f"{self.measure} {self.at}"
