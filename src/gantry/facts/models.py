"""What happened in the product, in the order it was committed."""

from __future__ import annotations

from django.db import models


class Fact(models.Model):
    """One published fact. `payload` holds identifiers, never patient data.

    `position` is its place in the change feed: given after its commit, by one reader at a time (see feed.py), so
    unlike `id` no smaller one ever appears after a greater one was seen. Null: not numbered yet.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField(db_index=True)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    position = models.BigIntegerField(null=True, unique=True)

    class Meta:
        indexes = [
            models.Index("id", name="fact_not_numbered", condition=models.Q(position__isnull=True)),
            models.Index("created_at", name="fact_age"),
        ]
