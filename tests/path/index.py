"""Look into the database and the home of a running instance, past its own code."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import psycopg

from tests.support.gantry_process import GantryProcess


def query(gantry: GantryProcess, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of a statement on the database of the instance."""
    if url := gantry.settings.get("database_url"):
        info = url
    else:
        from gantry.main import home as homes
        from gantry.main import postgres

        info = postgres.url(homes.open_home(gantry.home))
    with psycopg.connect(info, connect_timeout=60) as connection:
        return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]


def indexed(gantry: GantryProcess) -> dict[str, str]:
    """SOP Instance UID to digest of all versions in the index."""
    rows = query(
        gantry,
        "select i.sop_instance_uid, encode(v.sha256, 'hex') from catalogue_version v join catalogue_instance i on i.id = v.instance_id",
    )
    return dict(rows)


def damaged_files(gantry: GantryProcess) -> list[str]:
    """Rows whose file is missing or whose data set has another digest, computed here."""
    bad = []
    rows = query(gantry, "select file_path, dataset_offset, dataset_bytes, encode(sha256, 'hex') from catalogue_version")
    for path, offset, length, digest in rows:
        file = Path(gantry.home) / path
        data = file.read_bytes()[offset : offset + length] if file.exists() else b""
        if hashlib.sha256(data).hexdigest() != digest:
            bad.append(path)
    return bad


def assert_nothing_lost(gantry: GantryProcess, acknowledged: dict[str, str], timeout: float = 60) -> None:
    """Every instance that was answered 0000 is in the index, byte-identical, and verify agrees."""

    def all_there() -> bool:
        try:
            have = indexed(gantry)
        except psycopg.OperationalError:
            return False
        return not set(acknowledged) - set(have)

    gantry.until(all_there, timeout)
    have = indexed(gantry)
    assert {uid: have[uid] for uid in acknowledged} == acknowledged
    assert damaged_files(gantry) == []
