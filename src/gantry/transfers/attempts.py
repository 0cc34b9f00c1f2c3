"""The attempts of deliveries: when each was, how long it took, what came of it and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg.rows import class_row

from gantry import config, database
from gantry.transfers.errors import BadFilter, DeliveryMissing, StudyMissing

#: The newest attempts that are kept for each study and destination, and for each destination as a whole.
KEPT = 100
LIMIT = 1000
#: A bracket shorter than two words belongs to the sentence: "(0xA700)", "(ARCHIVE)".
_WORDS = 2


@dataclass(frozen=True, slots=True)
class Attempt:
    """Instances of a study that met the same at their `number`-th attempt within five minutes.

    `outcome`: confirmed; refused (the destination answered a failure); failed (no answer came); damaged (the stored bytes
    are not those received); untried (taken up, but no connection could be had: it does not count as an attempt); missing
    (confirmed, but not found there later); silent (the destination as a whole gave no sign of life, `count` times).
    `dead` of them were given up. `delivery_ids` are the first hundred.
    """

    node: str
    number: int
    outcome: str
    dimse_status: int | None
    error: str
    count: int
    dead: int
    delivery_ids: list[int]
    began_at: datetime
    ended_at: datetime

    @property
    def seconds(self) -> float:
        """From the first byte of the first instance to the last answer."""
        return max(0.0, (self.ended_at - self.began_at) / timedelta(seconds=1))

    @property
    def cause(self) -> str:
        """What went wrong; empty: nothing."""
        return split_error(self.error)[0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return split_error(self.error)[1]


def attempts(
    connection: psycopg.Connection,
    study_uid: str,
    *,
    node: str | None = None,
    delivery_id: int | None = None,
    nodes: Collection[str] | None = None,
    limit: int = LIMIT,
) -> list[Attempt]:
    """The attempts of a study, or of one of its deliveries, the newest first. `nodes`: to these only (None: all).

    Raises StudyMissing; BadFilter when the limit is not between 1 and 1 000.
    """
    if not 1 <= limit <= LIMIT:
        raise BadFilter(f"the limit is {limit}; it must be between 1 and {LIMIT}")
    study = connection.execute(
        database.statements("gantry.transfers", "healing.sql")["study"], {"study_uid": study_uid}
    ).fetchone()
    if study is None:
        raise StudyMissing("there is no study of this Study Instance UID")
    names = nodes if node is None else {node} if nodes is None else {node} & set(nodes)
    values = {
        "study_id": study[0], "delivery_id": delivery_id, "limit": limit, "nodes": None if names is None else sorted(names),
    }  # fmt: skip
    with psycopg.Cursor(connection, row_factory=class_row(Attempt)) as cursor:
        return cursor.execute(_sql()["of_study"], values).fetchall()


def study_of(connection: psycopg.Connection, delivery_id: int) -> tuple[str, str]:
    """Study Instance UID and node of a delivery. Raises DeliveryMissing."""
    row = connection.execute(_sql()["study_of"], {"delivery_id": delivery_id}).fetchone()
    if row is None:
        raise DeliveryMissing(
            f"there is no delivery {delivery_id}: `gantry deliveries --json` shows the numbers of those that are"
        )
    return str(row[1]), str(row[2])


def silent(connection: psycopg.Connection, node_id: int, error: str) -> None:
    """A node gave no sign of life when it was asked for one."""
    connection.execute(_sql()["node_silent"], {"node_id": node_id, "error": error})
    trim(connection, node_id, [None])


def trim(connection: psycopg.Connection, node_id: int, study_ids: Sequence[int | None]) -> None:
    """Keep no more than the newest of these studies (None: of the node as a whole)."""
    if study_ids:
        connection.execute(_sql()["trim"], {"node_id": node_id, "study_ids": list(study_ids), "keep": KEPT})


def forget(connection: psycopg.Connection, *, most: int = 10_000) -> int:
    """Delete attempts that ended longer ago than the setting `attempt_days` says; at most so many, gives their number."""
    days = config.current().attempt_days
    return connection.execute(_sql()["forget"], {"days": days, "limit": most}).rowcount if days else 0


def split_error(text: str) -> tuple[str, str]:
    """Cause and remedy of "cause (remedy)", as the ledger keeps them. Brackets inside of either stay.

    >>> split_error("A700 out of resources (of ARCHIVE) (free space at the peer)")
    ('A700 out of resources (of ARCHIVE)', 'free space at the peer')
    """
    depth = 0
    if text.endswith(")"):
        for place in range(len(text) - 1, 0, -1):
            depth += (text[place] == ")") - (text[place] == "(")
            if depth == 0:
                remedy = text[place + 1 : -1]
                if text[place - 1] == " " and len(remedy.split()) >= _WORDS:
                    return text[: place - 1], remedy
                break
    return text, ""


def _sql() -> dict[str, LiteralString]:
    return database.statements("gantry.transfers", "attempts.sql")
