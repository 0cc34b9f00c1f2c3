"""Index against volume: what verify finds is named and mended, and nothing is deleted that could be the last copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.support import part10_files as files

from gantry.catalogue.models import Study, Version
from gantry.intake.indexer import Indexer
from gantry.intake.models import QuarantinedObject
from gantry.intake.reconcile import expected_files, known_paths, mend
from gantry.storage import Finding, verify


@pytest.fixture
def archive(spool: Spool, home: Path, make_indexer: Callable[..., Indexer]) -> None:
    for number in range(1, 7):
        spool.send(files.ct_dataset(number=number, side=800 if number > 4 else 16))
    spool.send(files.ct_dataset(number=9, study=""))
    make_indexer().drain()
    spool.close()


def findings(home: Path, connection: psycopg.Connection) -> list[Finding]:
    found = verify(home, expected_files(connection), lambda paths: known_paths(connection, paths), grace_seconds=0)
    return [one for one in found if one.kind != "ok"]


@pytest.mark.usefixtures("archive")
def test_a_sound_archive(home: Path, connection: psycopg.Connection) -> None:
    expected = list(expected_files(connection))
    assert [one.path for one in expected[:-1]] == sorted(stored_files(home, "objects"))
    assert expected[-1].path == QuarantinedObject.objects.get().file_path
    assert findings(home, connection) == []


@pytest.mark.usefixtures("archive")
def test_files_without_rows_come_back_into_the_index(home: Path, connection: psycopg.Connection) -> None:
    before = stored_files(home)
    connection.execute("TRUNCATE catalogue_patient, catalogue_study, intake_quarantinedobject CASCADE")
    found = findings(home, connection)
    assert sorted(one.path for one in found) == before
    mended = list(mend(connection, home, found))
    assert {one.action for one in mended} == {"indexed"}
    assert findings(home, connection) == []
    assert stored_files(home) == before
    assert (Version.objects.count(), QuarantinedObject.objects.count()) == (6, 1)
    version = Version.objects.first()
    assert version is not None
    assert (version.calling_aet, version.origin) == ("CT1", "dimse"), "where it came from is in the file"
    assert Study.objects.get().instance_count == 6


@pytest.mark.usefixtures("archive")
def test_a_second_copy_goes_and_a_lost_file_is_restored(home: Path, connection: psycopg.Connection) -> None:
    one, two, three = stored_files(home, "objects")[:3]
    copy = one.replace(".dcm", "~0123456789abcdef.dcm")
    (home / copy).write_bytes((home / one).read_bytes())
    moved = two.replace(".dcm", "~0123456789abcdef.dcm")
    os.rename(home / two, home / moved)
    os.unlink(home / three)
    (home / "objects" / "00").mkdir(exist_ok=True)
    (home / "objects" / "00" / "0123.part").write_bytes(b"half")
    (home / "objects" / "00" / "junk.dcm").write_bytes(b"hello")
    mended = {entry.finding.path: entry.action for entry in mend(connection, home, findings(home, connection))}
    assert mended == {
        two: "left", three: "left", copy: "removed", moved: "restored", "objects/00/0123.part": "removed",
        "objects/00/junk.dcm": "indexed",
    }  # fmt: skip
    # The junk went through the door too, and is in quarantine now.
    assert QuarantinedObject.objects.filter(reason="not_dicom").count() == 1
    assert [(one.kind, one.path) for one in findings(home, connection)] == [("missing", three)]


@pytest.mark.usefixtures("archive")
def test_damage_is_told_and_left(home: Path, connection: psycopg.Connection) -> None:
    path = stored_files(home, "objects")[0]
    with open(home / path, "r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"xyz")
    (finding,) = findings(home, connection)
    assert (finding.kind, finding.path) == ("damaged", path)
    assert [entry.action for entry in mend(connection, home, [finding])] == ["left"]
    assert (home / path).exists()


@pytest.mark.usefixtures("archive")
def test_a_lost_file_comes_back_when_its_bytes_come_again(
    home: Path, connection: psycopg.Connection, make_indexer: Callable[..., Indexer]
) -> None:
    """By C-STORE or import, with another beginning than before; the row follows."""
    paths = stored_files(home, "objects")
    for path in (paths[0], paths[5]):
        os.unlink(home / path)
    again = Spool(home, "r1")
    again.send(files.ct_dataset(number=1), calling_aet="A-LONGER-TITLE")
    again.send(files.ct_dataset(number=6, side=800), calling_aet="A-LONGER-TITLE")
    assert make_indexer().drain().duplicates == 2
    again.close()
    assert stored_files(home, "objects") == paths
    assert findings(home, connection) == []
