"""What is held can be listed, copied out and discarded; and held again when it comes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.support import part10_files as files

from gantry.intake.errors import NotHeld
from gantry.intake.indexer import Indexer
from gantry.intake.quarantine import discard_held, export_held, list_held


@pytest.fixture
def indexer(spool: Spool, make_indexer: Callable[..., Indexer]) -> Indexer:
    for number in range(1, 4):
        spool.send(files.ct_dataset(number=number, study=""))
    indexer = make_indexer()
    indexer.drain()
    return indexer


@pytest.mark.usefixtures("indexer")
def test_list_in_pages(connection: psycopg.Connection) -> None:
    held = list_held(connection)
    assert len(held) == 3
    assert {one.reason for one in held} == {"study_uid_missing"}
    first = list_held(connection, limit=2)
    rest = list_held(connection, before=(first[-1].quarantined_at, first[-1].id))
    assert first + rest == held


def test_export_and_discard(indexer: Indexer, spool: Spool, home: Path, tmp_path: Path, connection: psycopg.Connection) -> None:
    one = list_held(connection)[0]
    whole = (home / one.file_path).read_bytes()
    assert export_held(connection, home, one.id, tmp_path) == tmp_path / f"{one.id}.dcm"
    assert (tmp_path / f"{one.id}.dcm").read_bytes() == whole
    with pytest.raises(FileExistsError):
        export_held(connection, home, one.id, tmp_path)
    discard_held(connection, home, one.id)
    assert len(stored_files(home, "quarantine")) == 2
    assert [entry.state for entry in list_held(connection, state=None)].count("discarded") == 1
    for verb in (discard_held, lambda c, h, i: export_held(c, h, i, tmp_path / "again.dcm")):
        for identifier in (one.id, uuid4()):
            with pytest.raises(NotHeld):
                verb(connection, home, identifier)
    offset = whole.index(b"\x08\x00\x05\x00CS")
    spool.send(whole[offset:])
    assert indexer.drain().held == 1
    assert len(list_held(connection)) == 3, "it came again, and is held again"
    assert len(stored_files(home, "quarantine")) == 3
