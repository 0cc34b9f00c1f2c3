"""Associations that are still open and have brought instances: their studies are not settled yet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from gantry import database


def opened(
    connection: psycopg.Connection[Any], brought: Collection[tuple[UUID, int, str]], now: datetime
) -> None:
    """Note (association, study id, slot); one that is known to be over is not opened again."""
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


def ended(connection: psycopg.Connection[Any], association_ids: Collection[UUID], now: datetime) -> None:
    """Note that these associations are over."""
    if not association_ids:
        return
    sql = database.statements("gantry.catalogue")
    values = {"association_ids": sorted(association_ids), "now": now}
    connection.execute(sql["end_associations"], values)
    connection.execute(sql["close_associations"], values)


def restarted(connection: psycopg.Connection[Any], slot: str, now: datetime) -> None:
    """A receiver started anew in this slot: whatever its former run had open is over."""
    sql = database.statements("gantry.catalogue")
    connection.execute(sql["end_slot"], {"slot": slot, "now": now})
    connection.execute(sql["close_slot"], {"slot": slot})
