"""What comes with a C-MOVE of ours into our own receiver, by its originator (PS3.7 9.3.1.1).

Whoever asks a node to send says so first (`await_move`), with a message id that no other move of ours has at the time.
The indexer notes what names that move, in the transaction of its batch: also bytes that were here already, which make no
row. One statement for a batch, and none where nothing names a move.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from gantry import database
from gantry.catalogue.rows import VersionRow

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Awaited:
    """A move that may begin: its id in the table, and its message id."""

    id: int
    message_id: int


@dataclass(frozen=True, slots=True)
class Came:
    """An instance that came with an awaited move; `id` grows, though not always in the order of commits."""

    id: int
    study_instance_uid: str
    sop_instance_uid: str
    sha256: bytes


def await_move(connection: psycopg.Connection[Any], aet: str) -> Awaited:
    """Say that `aet` is about to ask for a move. Commit before it does. RuntimeError when there is no message id left."""
    old = [row[0] for row in connection.execute(_sql("old_moves"))]
    if old:
        forget_moves(connection, old)
    for _ in range(_TRIES):
        message_id = random.randint(1, 0xFFFF)  # noqa: S311  has to be free, not secret
        row = connection.execute(_sql("await_move"), {"aet": aet.strip(), "message_id": message_id}).fetchone()
        if row is not None:
            return Awaited(row[0], message_id)
    raise RuntimeError("too many C-MOVEs of ours are under way")


def forget_moves(connection: psycopg.Connection[Any], ids: Sequence[int]) -> None:
    """Nothing of these is awaited any more, and what came is forgotten (the instances stay)."""
    with connection.transaction():
        # First what the indexer looks for: from then on it adds nothing (the foreign key is checked at the commit).
        connection.execute(_sql("forget_moves"), {"ids": list(ids)})
        connection.execute(_sql("forget_moved"), {"ids": list(ids)})


def note_moved(connection: psycopg.Connection[Any], rows: Iterable[VersionRow]) -> None:
    """Note those of `rows` that came with an awaited move. In the transaction that indexes them."""
    named = [row for row in rows if row.move_originator_id is not None]
    if named:
        values = {
            "aets": [row.move_originator_aet for row in named], "message_ids": [row.move_originator_id for row in named],
            "studies": [row.study_instance_uid for row in named], "uids": [row.sop_instance_uid for row in named],
            "digests": [row.sha256 for row in named],
        }  # fmt: skip
        connection.execute(_sql("note_moved"), values)


def moved_count(connection: psycopg.Connection[Any], ids: Sequence[int]) -> int:
    """How many there are of these moves."""
    row = connection.execute(_sql("moved_count"), {"ids": list(ids)}).fetchone()
    return int(row[0]) if row else 0


def moved_after(connection: psycopg.Connection[Any], ids: Sequence[int], after: int) -> list[Came]:
    """What came with these moves, with an id above `after`."""
    rows = connection.execute(_sql("moved_after"), {"ids": list(ids), "after": after})
    return [Came(id_, study, uid, bytes(digest)) for id_, study, uid, digest in rows]


def brought_by(connection: psycopg.Connection[Any], uids: Collection[str], senders: Collection[str]) -> dict[str, bool]:
    """Those of `uids` that are here; True where one of `senders` (AE titles) brought it and named no C-MOVE."""
    rows = connection.execute(_sql("brought_by"), {"uids": list(uids), "senders": list(senders)})
    return {uid: bool(known) for uid, known in rows}


def _sql(name: str) -> str:
    return database.statements("gantry.catalogue", "moved.sql")[name]
