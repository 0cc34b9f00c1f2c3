"""What happened in the product, in the order it was committed."""

from __future__ import annotations

from django.db import models


class Fact(models.Model):
    """One published fact. `payload` holds identifiers, never patient data."""

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField(db_index=True)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
