"""Anchors: the heads of the chains, kept in a file outside the database, one JSON object a line.

Whoever can write to the database as its superuser can make a chain anew or cut its tail; against an anchor that
they cannot reach it is found.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from gantry import database
from gantry.audit.errors import BadAnchor
from gantry.audit.verify import Heads, digest_of

_MAX_BYTES = 64 * 1024 * 1024


def heads(connection: psycopg.Connection[Any]) -> Heads:
    """The last link of each chain now."""
    rows = connection.execute(database.statements("gantry.audit")["heads"]).fetchall()
    return {int(chain): (int(seq), bytes(digest)) for chain, seq, digest in rows}


def read(path: Path) -> list[Heads]:
    """The anchors of a file, oldest first; none when there is no file. Raises BadAnchor."""
    if not path.exists():
        return []
    if path.stat().st_size > _MAX_BYTES:
        raise BadAnchor(f"{path}: more than {_MAX_BYTES} bytes is no file of anchors")
    found: list[Heads] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            value = json.loads(line)
            anchor = {int(chain): (int(seq), bytes.fromhex(digest)) for chain, (seq, digest) in value["heads"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadAnchor(f"{path}:{number}: is no anchor; keep what `gantry audit verify --anchor` wrote") from error
        if digest_of(anchor) != value.get("head"):
            raise BadAnchor(f"{path}:{number}: the anchor was changed: its digest does not fit")
        found.append(anchor)
    return found


def keep(path: Path, now: Heads) -> bool:
    """Append an anchor, synced; nothing when it is the last one already. Gives whether it was written."""
    known = read(path)
    if known and dict(known[-1]) == dict(now):
        return False
    line = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "head": digest_of(now),
        "heads": {str(chain): [seq, digest.hex()] for chain, (seq, digest) in sorted(now.items())},
    }  # fmt: skip
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
