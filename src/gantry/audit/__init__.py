"""Who did what to which patient's data: written with the act, never changed, chained. Verbs: record, find, verify, export."""

from __future__ import annotations

from gantry.audit.record import SYSTEM, By, Executes, Json, by_actor, by_cli, record

__all__ = ["SYSTEM", "By", "Executes", "Json", "by_actor", "by_cli", "record"]
