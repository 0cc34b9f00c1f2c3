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
