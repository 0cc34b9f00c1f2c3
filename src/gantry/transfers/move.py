"""A C-MOVE in the ledger: ordered, watched, cancelled. The worker sends it as it sends everything."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from gantry import database
from gantry.transfers.order import defer_now

_PACKAGE = "gantry.transfers"
ORIGIN = "move"


@dataclass(frozen=True, slots=True)
class MoveOrder:
    """One C-MOVE: who asked (AE title and message id, told to the destination) and its rows in the ledger."""

    id: uuid.UUID
    ordered: int


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """How many instances are still to be sent, and how the others ended."""

    remaining: int
    completed: int
    failed: int
    warned: int
    cancelled: int


def order_move(
    connection: psycopg.Connection, version_ids: Sequence[int], node_id: int, *, calling_aet: str, message_id: int
) -> MoveOrder:
    """Order versions to a node for a C-MOVE, in this order, however often they were delivered before.

    A pause of the node after a failed connection is lifted: somebody waits.
    """
    queries = database.statements(_PACKAGE)
    move_id = uuid.uuid4()
    with connection.transaction():
        ordered = connection.execute(
            queries["order_move"],
            {
                "version_ids": list(version_ids),
                "node_id": node_id,
                "move_id": move_id,
                "aet": calling_aet,
                "message_id": message_id,
            },
        ).rowcount
        connection.execute(queries["clear_pause"], {"node_ids": [node_id]})
        defer_now(connection, [node_id])
    return MoveOrder(move_id, ordered)


def move_progress(connection: psycopg.Connection, move_id: uuid.UUID) -> MoveProgress:
    """How far it is."""
    row = connection.execute(database.statements(_PACKAGE)["move_progress"], {"move_id": move_id}).fetchone()
    assert row is not None
    return MoveProgress(*row)


def move_failures(connection: psycopg.Connection, move_id: uuid.UUID, *, limit: int = 2000) -> list[tuple[str, str]]:
    """SOP Instance UIDs that were not delivered, with the reason."""
    found = connection.execute(database.statements(_PACKAGE)["move_failures"], {"move_id": move_id, "limit": limit})
    return [(str(uid), str(error)) for uid, error in found]


def cancel_move(connection: psycopg.Connection, move_id: uuid.UUID, error: str) -> int:
    """Take back what was not taken up yet; gives its number."""
    return connection.execute(database.statements(_PACKAGE)["cancel_move"], {"move_id": move_id, "error": error}).rowcount
