"""Places we talk to."""

from __future__ import annotations

from django.db import models


class Node(models.Model):
    """A DIMSE peer: who it is, where it is, and how hard we may push it."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField()
    kind = models.TextField(default="dimse")
    aet = models.TextField(help_text="Its AE title (we call it by this name)")
    host = models.TextField()
    port = models.IntegerField()
    calling_aet = models.TextField(default="", help_text="Our AE title towards it; empty: the instance's own")
    max_associations = models.IntegerField(default=4)
    max_attempts = models.IntegerField(default=12, help_text="Attempts before a delivery is dead")
    connect_seconds = models.FloatField(default=10.0)
    response_seconds = models.FloatField(default=60.0)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="", help_text="Why the last connection failed; empty after a success")
    failure_count = models.IntegerField(default=0, help_text="Connections that failed since the last success")
    retry_at = models.DateTimeField(null=True, help_text="Nothing is sent before, because the last connection failed")
    removed_at = models.DateTimeField(null=True, help_text="Removed by a person; kept because receipts name it")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=models.Q(removed_at=None), name="node_name"),
        ]

    def __str__(self) -> str:
        return self.name
