"""Rules as versions, why a study went where it went, and what a rule keeps back."""

from __future__ import annotations

import uuid

from django.db import models

from gantry.nodes.models import Node


class RuleSet(models.Model):
    """A version of all rules: `draft` (one at most, being written), `active` (one at most, decides), `retired`.

    `rules` is a list of rules as `spec.RuleSpec.to_json` writes them; an active or retired set never changes.
    `revision` counts the edits of a draft, so that two people notice each other. A draft that was thrown away is
    retired and has never been activated.
    """

    id = models.BigAutoField(primary_key=True)
    version = models.IntegerField()
    state = models.TextField(default="draft")
    author = models.TextField(default="")
    note = models.TextField(default="")
    based_on = models.IntegerField(null=True, help_text="The version it was made from")
    revision = models.IntegerField(default=1)
    rules = models.JSONField(default=list)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)
    activated_by = models.TextField(default="", db_default="")
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version"], name="rule_set_version"),
            models.UniqueConstraint(fields=["state"], condition=models.Q(state__in=["draft", "active"]), name="rule_set_one"),
        ]

    def __str__(self) -> str:
        return f"version {self.version} ({self.state})"


class Rule(models.Model):
    """The active set as the release before this one knows it: a copy that is written at each activation, never read.

    Rules that the release before could not carry out in full (edits, hold, quarantine, ...) have a `trigger` that it
    does not know, so that it leaves them alone.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    enabled = models.BooleanField(default=True)
    conditions = models.JSONField(default=list)
    trigger = models.TextField(default="arrived")
    destinations = models.ManyToManyField(Node, related_name="rules")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()


class Decision(models.Model):
    """Why a study went somewhere: one row per study, version of the rules and rule that matched.

    `conditions` are those that held, as written in the rule; values of the patient are not kept. `deliveries` counts
    the rows of the ledger it ordered, `held` the instances it kept back. Without foreign keys: it outlives the study.
    """

    id = models.BigAutoField(primary_key=True)
    study_id = models.BigIntegerField()
    version = models.IntegerField(help_text="Of the rules")
    rule_name = models.TextField()
    trigger = models.TextField()
    conditions = models.JSONField(default=list)
    action = models.JSONField(default=dict)
    deliveries = models.IntegerField(default=0)
    held = models.IntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study_id", "version", "rule_name", "trigger"], name="routing_decision_once")
        ]


class HeldInstance(models.Model):
    """An instance that a rule keeps back (quarantine): it is stored and indexed, and not forwarded by any rule.

    state: held; released (a person let it go: it was routed without the quarantine rules) or dismissed (it stays here).
    """

    id = models.BigAutoField(primary_key=True)
    version_id = models.BigIntegerField()
    study_id = models.BigIntegerField()
    decision_id = models.BigIntegerField(null=True)
    rule_name = models.TextField()
    reason = models.TextField()
    state = models.TextField(default="held")
    held_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.TextField(default="")
    ended_reason = models.TextField(default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version_id"], name="routing_held_once")]
        indexes = [
            models.Index(fields=["study_id"], name="routing_held_study"),
            models.Index(fields=["state", "id"], name="routing_held_state"),
        ]


class RuleProblem(models.Model):
    """A rule of the active set that could not be evaluated, or that leads nowhere. Counted, not repeated."""

    id = models.BigAutoField(primary_key=True)
    version = models.IntegerField()
    rule_name = models.TextField()
    message = models.TextField()
    count = models.IntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "rule_name"], name="routing_problem_once")]


class Replay(models.Model):
    """A replay that was ordered over REST: waiting -> running -> done, failed or cancelled."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    days = models.FloatField()
    candidate = models.TextField(help_text="draft, or a version number")
    ordered_by = models.TextField(default="")
    state = models.TextField(default="waiting")
    studies = models.BigIntegerField(null=True)
    done = models.BigIntegerField(default=0)
    result = models.JSONField(null=True)
    error = models.TextField(default="")
    cancel_wanted = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
