"""Turns facts and measures into mail and signed webhooks, by rule."""

from __future__ import annotations
