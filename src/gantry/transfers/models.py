"""The delivery ledger: one row per version of an instance and destination."""

from __future__ import annotations

from django.db import models

from gantry.catalogue.models import Study, Version
from gantry.nodes.models import Node


class Delivery(models.Model):
    """waiting -> sent -> confirmed; or failed (will be tried again) and at last dead (a person decides).

    `sent` is written before the answer is known, so after a crash such a row is sent again; `confirmed`
    is final and is only written for a Success or Warning status of the peer (PS3.7 C). While a run holds
    a row (`lease_owner`), `next_attempt_at` is the end of its lease: a run that died gives it back by time.
    """

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(Version, models.CASCADE, related_name="deliveries", db_index=False)
    node = models.ForeignKey(Node, models.PROTECT, related_name="deliveries", db_index=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="deliveries", db_index=False)
    rule_name = models.TextField(default="", help_text="The rule that ordered it; empty: by hand")
    status = models.TextField(default="waiting")
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    dimse_status = models.IntegerField(null=True)
    error = models.TextField(default="")
    sha256 = models.BinaryField(max_length=32, null=True, help_text="Digest of the data set bytes that were sent")
    lease_owner = models.TextField(default="")
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        # Each row is written three times, so each index costs three: those of the foreign keys are among these.
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["version", "node"], name="delivery_once")]
        indexes = [
            models.Index(
                fields=["node", "next_attempt_at", "id"],
                condition=models.Q(status__in=["waiting", "failed", "sent"]),
                name="delivery_due",
            ),
            models.Index(fields=["status", "id"], name="delivery_status"),
            models.Index(fields=["node", "id"], name="delivery_node"),
            models.Index(fields=["study", "status"], name="delivery_study"),
        ]
