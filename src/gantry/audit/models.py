"""The audit: entries, and the links that chain them. The tables are made by SQL (migrations/0001_initial.py).

They are not managed by Django: its flush would truncate them, which they refuse, and `save()` must not reach them.
"""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """One act. Written by `audit.record` only; the database refuses to change, remove or truncate."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(help_text="When, by the clock of the database")
    act = models.TextField(help_text="noun.verb")
    who = models.TextField(help_text="User name, AE title, user of the operating system, or system")
    via = models.TextField(help_text="session, token, cli, dicom or system")
    user_id = models.BigIntegerField(null=True)
    token_id = models.BigIntegerField(null=True)
    address = models.TextField(help_text="Where from, an IP address; empty: this machine")
    kind = models.TextField(help_text="What kind of thing was acted on")
    key = models.TextField(help_text="Which of them")
    study_uid = models.TextField()
    patient_id = models.TextField()
    reason = models.TextField()
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "audit_entry"
        verbose_name_plural = "entries"


class Link(models.Model):
    """The place of an entry in its chain: `digest` covers the link before it and the whole entry."""

    pk = models.CompositePrimaryKey("chain", "seq")
    chain = models.SmallIntegerField()
    seq = models.BigIntegerField()
    entry_id = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)

    class Meta:
        managed = False
        db_table = "audit_link"
