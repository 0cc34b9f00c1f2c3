"""The delivery ledger: one row per version of an instance and destination."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from gantry.catalogue.models import Study, Version
from gantry.nodes.models import Node


class Delivery(models.Model):
    """waiting -> sent -> confirmed; or failed (will be tried again) and at last dead (a person decides).

    `sent` is written before the answer is known, so after a crash such a row is sent again; `confirmed`
    is final and is only written for a Success or Warning status of the peer (PS3.7 C). While a run holds
    a row (`lease_owner`), `next_attempt_at` is the end of its lease: a run that died gives it back by time.

    `origin` "move": somebody waits at a C-MOVE for it, so it goes before the others, is tried once and then
    dead, or `cancelled` when the asker no longer wants it. Rules and people order a version to a node once.

    `held`: a person or a rule holds it back. `cancelled` without a C-MOVE: a person recalled it, or it was passed
    on to the next node of its failover list (`passed_to`). `away`: its bytes lie in another home (`home`), whose
    worker turns it into waiting. What reconciliation finds missing goes from confirmed back to waiting (`resends`).
    """

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(Version, models.CASCADE, related_name="deliveries", db_index=False)
    node = models.ForeignKey(Node, models.PROTECT, related_name="deliveries", db_index=False)
    study = models.ForeignKey(Study, models.CASCADE, related_name="deliveries", db_index=False)
    rule_name = models.TextField(default="", help_text="The rule that ordered it; empty: by hand")
    origin = models.TextField(default="", db_default="", help_text="move: a C-MOVE; empty: a rule or a person")
    move_id = models.UUIDField(null=True, help_text="All rows of one C-MOVE")
    move_aet = models.TextField(default="", db_default="", help_text="Who asked: Move Originator AE Title (0000,1030)")
    move_message_id = models.IntegerField(null=True, help_text="Its Message ID: Move Originator Message ID (0000,1031)")
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

    priority = models.IntegerField(default=0, db_default=0, help_text="Higher goes first; 100 and more is urgent")
    hold_reason = models.TextField(default="", db_default="", help_text="Why a person held, recalled or ordered it again")
    ordered_by = models.TextField(default="", db_default="", help_text="The person who ordered it; empty: a rule")
    decision_id = models.BigIntegerField(null=True, help_text="The routing decision that ordered it")
    failover = ArrayField(models.BigIntegerField(), null=True, help_text="Nodes that are tried when this one is dead")
    passed_to = models.BigIntegerField(null=True, help_text="The delivery that took over")
    edits = models.JSONField(null=True, help_text="Tag edits that are applied to what is sent")
    changed = models.TextField(default="", db_default="", help_text="What was sent differs: edited, transcoded; empty: verbatim")
    sent_syntax = models.TextField(default="", db_default="", help_text="Transfer syntax of what was sent; empty: as stored")
    home = models.TextField(default="", db_default="", help_text="Id of the home that has the bytes; empty: not asked yet")
    resends = models.IntegerField(default=0, db_default=0, help_text="Sent again because it was not found at the node")
    verify_at = models.DateTimeField(null=True, help_text="When to look whether the node still has it")
    verified_at = models.DateTimeField(null=True)
    verified_by = models.TextField(default="", db_default="", help_text="commitment, query or file")
    verify_error = models.TextField(default="", db_default="", help_text="Why it could not be verified")

    class Meta:
        # Each row is written three times, so each index costs three: those of the foreign keys are among these.
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["version", "node"], condition=models.Q(origin=""), name="delivery_once"),
        ]
        indexes = [
            models.Index(
                fields=["node", "next_attempt_at", "id"],
                condition=models.Q(status__in=["waiting", "failed", "sent"]),
                name="delivery_due",
            ),
            models.Index(fields=["status", "id"], name="delivery_status"),
            models.Index(fields=["node", "id"], name="delivery_node"),
            models.Index(fields=["study", "status", "node"], name="delivery_of_study"),
            # What went in the last minutes, for the roll-up and the dashboard; costs next to nothing to keep.
            BrinIndex(fields=["confirmed_at"], name="delivery_confirmed", pages_per_range=32, autosummarize=True),
            models.Index(fields=["move_id"], condition=models.Q(move_id__isnull=False), name="delivery_move"),
            models.Index(
                fields=["node", "-priority", "next_attempt_at"],
                condition=models.Q(status__in=["waiting", "failed", "sent"], priority__gt=0),
                name="delivery_urgent",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(status__in=["waiting", "failed", "dead"], failover__isnull=False, passed_to__isnull=True),
                name="delivery_failover",
            ),
            models.Index(fields=["home", "node"], condition=models.Q(status="away"), name="delivery_away"),
            models.Index(fields=["node", "verify_at"], condition=models.Q(verify_at__isnull=False), name="delivery_verify"),
        ]


class Attempt(models.Model):
    """What came of an attempt that was no success, or was found not to be one later; `transfers.attempts` tells the words.

    One row for all instances of a study that met the same within five minutes at their n-th attempt (`key` is a digest of that),
    the newest hundred for each study and node. A success stands in its delivery: sending well writes nothing here.
    """

    id = models.BigAutoField(primary_key=True)
    study = models.ForeignKey(
        Study, models.CASCADE, null=True, related_name="+", db_index=False, help_text="Null: the node as a whole"
    )
    node = models.ForeignKey(Node, models.CASCADE, related_name="+", db_index=False)
    key = models.UUIDField()
    number = models.IntegerField(help_text="Which attempt it was")
    outcome = models.TextField(help_text="refused, failed, damaged, untried, missing or silent")
    dimse_status = models.IntegerField(null=True)
    error = models.TextField()
    count = models.IntegerField(help_text="Instances; of a node as a whole: times")
    dead = models.IntegerField(help_text="Of these were given up")
    delivery_ids = ArrayField(models.BigIntegerField(), help_text="The first hundred")
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "node", "key"], nulls_distinct=False, name="attempt_once"),
        ]
        indexes = [BrinIndex(fields=["ended_at"], name="attempt_ended", pages_per_range=32, autosummarize=True)]


class WorkerHome(models.Model):
    """A home whose workers deliver from this database. The bytes of a delivery lie in one of them."""

    id = models.TextField(primary_key=True)
    host = models.TextField(default="", db_default="")
    first_seen_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="A worker of it gave a sign of life")

    def __str__(self) -> str:
        return self.id
