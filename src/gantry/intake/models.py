"""What the way in remembers: how far each spool was read, and what is held in quarantine."""

from __future__ import annotations

from django.db import models


class SpoolPosition(models.Model):
    """How far a journal segment of a receiver slot has been indexed (advanced with the rows, in one transaction)."""

    segment = models.TextField(primary_key=True, help_text="<slot>/<epoch>")
    offset = models.BigIntegerField()
    updated_at = models.DateTimeField()


class QuarantinedObject(models.Model):
    """An object that cannot be indexed but that a person could want: kept whole, with the reason."""

    id = models.UUIDField(primary_key=True)
    reason = models.TextField(help_text="A code of intake.reasons")
    explanation = models.TextField()
    state = models.TextField(default="held", help_text="held, accepted or discarded")
    origin = models.TextField()
    calling_aet = models.TextField(default="")
    called_aet = models.TextField(default="")
    remote_address = models.TextField(default="")
    transfer_syntax_uid = models.TextField(default="")
    sha256 = models.BinaryField(max_length=32)
    file_path = models.TextField(unique=True, help_text="Relative to the home")
    file_bytes = models.BigIntegerField()
    dataset_offset = models.BigIntegerField(default=0, help_text="Where the data set begins in the file, bytes")
    received_at = models.DateTimeField()
    quarantined_at = models.DateTimeField()
    decided_by = models.TextField(default="", db_default="", help_text="Who accepted or discarded it")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(default="", db_default="")


class Scrub(models.Model):
    """How far the scrubber of a home is: one row per home, carried on from job to job."""

    home_id = models.UUIDField(primary_key=True)
    state = models.TextField(default="idle", help_text="idle, running or waiting")
    phase = models.TextField(default="", help_text="versions, held, files or empty")
    cursor = models.TextField(default="", db_collation="C", help_text="The last path that is done in this phase")
    asked_at = models.DateTimeField(null=True, help_text="A pass was asked for")
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)
    total_bytes = models.BigIntegerField(default=0)
    checked_files = models.BigIntegerField(default=0)
    checked_bytes = models.BigIntegerField(default=0)
    problems = models.BigIntegerField(default=0)
    mended = models.BigIntegerField(default=0)
    passes = models.IntegerField(default=0)
    note = models.TextField(default="")


class ScrubFinding(models.Model):
    """A file that the scrubber found missing, damaged or unknown, and what became of it."""

    id = models.BigAutoField(primary_key=True)
    home_id = models.UUIDField()
    path = models.TextField(db_collation="C")
    kind = models.TextField(help_text="missing, damaged, orphan or leftover")
    version_id = models.BigIntegerField(null=True)
    explanation = models.TextField(default="")
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    action = models.TextField(default="", help_text="What was done: healed, indexed, removed, ...; empty: nothing yet")
    action_note = models.TextField(default="")
    ended_at = models.DateTimeField(null=True, help_text="Since when it is no problem any more")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["home_id", "path"], condition=models.Q(ended_at=None), name="scrub_finding_open"),
        ]
