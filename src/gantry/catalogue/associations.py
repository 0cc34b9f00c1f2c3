"""Associations that are still open and have brought instances: their studies are not settled yet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from gantry import database
from gantry.catalogue import settle


def opened(connection: psycopg.Connection[Any], brought: Collection[tuple[UUID, int, str]], now: datetime) -> None:
    """Note (association, study id, slot)."""
    if not brought:
        return
    order = sorted(brought)
    values = {
        "association_ids": [association for association, _, _ in order],
        "study_ids": [study for _, study, _ in order],
        "slots": [slot for _, _, slot in order],
        "now": now,
    }
    connection.execute(database.statements("gantry.catalogue")["open_associations"], values)


def ended(connection: psycopg.Connection[Any], association_ids: Collection[UUID]) -> None:
    """These associations are over."""
    if association_ids:
        settle.end_associations(connection, association_ids)


def restarted(connection: psycopg.Connection[Any], slots: Collection[str]) -> None:
    """A receiver started anew in these slots, or left them: whatever the former run had open is over."""
    if slots:
        settle.end_slots(connection, slots)
