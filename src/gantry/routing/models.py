"""Stateless rules: when this arrives, it goes there."""

from __future__ import annotations

from django.db import models

from gantry.nodes.models import Node


class Rule(models.Model):
    """Conditions (all must hold) and destinations.

    `conditions` is a list of `{"keyword": ..., "operator": "equals|in|wildcard|range|regex", "value": ...}`;
    an empty list matches everything. `trigger` is `arrived` or `settled`.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    enabled = models.BooleanField(default=True)
    conditions = models.JSONField(default=list)
    trigger = models.TextField(default="arrived")
    destinations = models.ManyToManyField(Node, related_name="rules")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
