"""Held objects: why, accepted as they are, repaired, discarded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.support import part10_files as files

from gantry import audit
from gantry.catalogue.models import Version
from gantry.dataset import read_part10, scan
from gantry.intake.errors import NotAcceptable, NotHeld
from gantry.intake.indexer import Indexer
from gantry.intake.models import QuarantinedObject
from gantry.intake.quarantine import accept_held, discard_held, get_held
from gantry.intake.reconcile import expected_files, known_paths
from gantry.storage import verify

BY = audit.By("tester", "cli")


def held(spool: Spool, make_indexer: Callable[..., Indexer], dataset: bytes) -> QuarantinedObject:
    spool.send(dataset, instance=f"{files.ROOT}.1.1.5")
    make_indexer().drain()
    spool.close()
    return QuarantinedObject.objects.get()


def findings(home: Path, connection: psycopg.Connection) -> list[str]:
    found = verify(home, expected_files(connection), lambda paths: known_paths(connection, paths), grace_seconds=0)
    return [f"{one.kind} {one.path}" for one in found if one.kind != "ok"]


@pytest.mark.parametrize("side", [16, 500])
def test_a_missing_uid_is_set_in_a_copy(
    home: Path, connection: psycopg.Connection, spool: Spool, make_indexer: Callable[..., Indexer], side: int
) -> None:
    row = held(spool, make_indexer, files.ct_dataset(number=5, study="", side=side))
    found = get_held(connection, home, row.pk)
    assert (found.is_dicom, found.study_instance_uid or "", found.sop_instance_uid) == (True, "", f"{files.ROOT}.1.1.5")
    for repairs in ({}, {"StudyInstanceUID": "1.2.x"}, {"PatientID": "1.2"}, {"SeriesInstanceUID": "1.2"}):
        with pytest.raises(NotAcceptable):
            accept_held(connection, home, row.pk, by=BY, reason="try", repairs=repairs)
    original = (home / row.file_path).read_bytes()
    state = accept_held(connection, home, row.pk, by=BY, reason="by the list", repairs={"StudyInstanceUID": "1.2.840.1"})
    assert state == "accepted"
    version = Version.objects.get()
    assert version.instance.series.study.study_instance_uid == "1.2.840.1"
    assert (version.calling_aet, version.origin) == ("CT1", "import")
    stored = (home / version.file_path).read_bytes()
    part = read_part10(memoryview(stored), total=len(stored))
    header = scan(memoryview(stored)[part.dataset_offset :], part.transfer_syntax_uid, whole=True)
    assert header.values["StudyInstanceUID"] == "1.2.840.1"
    assert stored[-side:] == original[-side:], "the pixels are those that came"
    assert (home / row.file_path).read_bytes() == original, "the original stays until somebody discards it"
    assert findings(home, connection) == []
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.decision_reason) == ("accepted", "tester", "by the list")
    with pytest.raises(NotHeld):
        accept_held(connection, home, row.pk, by=BY, reason="again")
    discard_held(connection, home, row.pk, by=BY, reason="kept long enough")
    assert stored_files(home, "quarantine") == []
    assert findings(home, connection) == []
    acts = connection.execute("SELECT act FROM audit_entry WHERE key = %s ORDER BY id", [str(row.pk)]).fetchall()
    assert [act for (act,) in acts] == ["quarantine.accept", "quarantine.discard"]


def test_what_is_acceptable_now_goes_in_as_it_is(
    home: Path, connection: psycopg.Connection, spool: Spool, make_indexer: Callable[..., Indexer]
) -> None:
    """Its command named another instance than its data set (A901): a person says that the data set is right."""
    row = held(spool, make_indexer, files.ct_dataset(number=6))
    assert row.reason == "sop_instance_differs"
    assert accept_held(connection, home, row.pk, by=BY, reason="the command was wrong") == "indexed"
    version = Version.objects.get()
    assert bytes(version.sha256) == bytes(row.sha256)
    assert stored_files(home, "quarantine") == []
    assert findings(home, connection) == []


def test_what_is_no_dicom_is_shown_and_never_accepted(home: Path, connection: psycopg.Connection, tmp_path: Path) -> None:
    from gantry.intake.reconcile import mend
    from gantry.storage import Finding

    place = home / "objects" / "00"
    place.mkdir(parents=True)
    (place / "junk.dcm").write_bytes(b"hello")
    list(mend(connection, home, [Finding("orphan", "objects/00/junk.dcm", "")]))
    row = QuarantinedObject.objects.get()
    assert not get_held(connection, home, row.pk).is_dicom
    with pytest.raises(NotAcceptable):
        accept_held(connection, home, row.pk, by=BY, reason="?")
    assert QuarantinedObject.objects.get().state == "held"
