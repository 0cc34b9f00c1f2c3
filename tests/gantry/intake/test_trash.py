"""Deleting: into the trash and back, holds and protection, arrivals of what was deleted, removal that survives a crash."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.gantry.intake.conftest import Spool, stored_files
from tests.gantry.transfers.seed import add_node
from tests.support import part10_files as files

from gantry import audit, database
from gantry.catalogue import Query, Wanted, locate, lookup_versions, protect, run, search_studies, trash
from gantry.catalogue.errors import StudyKept, StudyMissing
from gantry.catalogue.models import Instance, Patient, Series, Study, Trash, Version
from gantry.catalogue.remove import remove_study
from gantry.intake import volumes
from gantry.intake.indexer import Indexer
from gantry.intake.placing_lock import PlacingLock
from gantry.intake.reconcile import known_paths
from gantry.storage import verify
from gantry.transfers import order
from gantry.transfers.recycle import ABOVE, count_open_of_study, delivered, run_life, unlink_all
from gantry.transfers.send_paths import files_in

BY = audit.By("tester", "cli")
ROOT = files.ROOT
ONE, TWO = f"{ROOT}.81", f"{ROOT}.82"


@pytest.fixture
def archive(spool: Spool, make_indexer: Callable[..., Indexer]) -> Indexer:
    """Study ONE of patient A with two series and a second version of an instance; study TWO of the same patient."""
    for number in (1, 2, 3):
        send(spool, ONE, number)
    spool.send(files.ct_dataset(number=9, study=ONE, series=f"{ONE}.2", patient_id="A", modality="SR"))
    send(spool, ONE, 3, patient_name="DOE^CHANGED")
    send(spool, TWO, 1)
    indexer = make_indexer()
    indexer.drain()
    indexer.settle()
    return indexer


def send(spool: Spool, study: str, number: int, **changes: Any) -> bytes:
    return spool.send(files.ct_dataset(number=number, study=study, series=f"{study}.1", patient_id="A", **changes))


def delete(connection: psycopg.Connection, uid: str = ONE, **options: Any) -> trash.TrashedStudy:
    options.setdefault("count_open", count_open_of_study)
    return trash.put_in_trash(connection, uid, by=BY, reason="the wrong one", **options)


def visible(connection: psycopg.Connection) -> dict[str, int]:
    """What lists and queries show: instances by study, by three ways that must agree."""
    listed = {one.study_instance_uid: one.instance_count for one in search_studies(connection, Wanted()).items}
    with connection.transaction():
        asked = {str(row["StudyInstanceUID"]) for row in run(connection, Query("STUDY", "STUDY", {"StudyInstanceUID": ""}))}
    with connection.transaction():
        keys = {"StudyInstanceUID": "", "SOPInstanceUID": ""}
        images = [str(row["StudyInstanceUID"]) for row in run(connection, Query("IMAGE", "STUDY", keys, relational=True))]
    assert asked == set(listed) == set(images)
    assert {uid: images.count(uid) for uid in images} == listed
    return listed


def counts() -> list[Any]:
    """Everything that is counted or shown of the archive, to be compared before and after."""
    return [
        list(Study.objects.order_by("pk").values_list("instance_count", "series_count", "size_bytes", "modalities", "settled_at", "trashed_at")),
        list(Series.objects.order_by("pk").values_list("instance_count", "size_bytes")),
        list(Patient.objects.order_by("pk").values_list("patient_id", "study_count")),
        list(Version.objects.order_by("pk").values_list("pk", "current", "file_path")),
    ]  # fmt: skip


def acts(connection: psycopg.Connection, uid: str) -> list[str]:
    return [row[0] for row in connection.execute("SELECT act FROM audit_entry WHERE study_uid = %s ORDER BY id", [uid])]


@pytest.mark.usefixtures("archive")
def test_the_wrong_study_deleted_and_taken_back(home: Path, connection: psycopg.Connection) -> None:
    before, paths = counts(), stored_files(home)
    study = Study.objects.get(study_instance_uid=ONE)
    gone = delete(connection)
    assert (gone.instance_count, gone.expires_at - gone.trashed_at) == (4, timedelta(days=30))
    assert visible(connection) == {TWO: 1}
    assert locate(connection, study_id=study.pk) == [], "nothing of it is sent"
    assert lookup_versions(connection, [f"{ONE}.1.1"])[f"{ONE}.1.1"].trashed
    assert stored_files(home) == paths, "its bytes stay"
    assert Patient.objects.get().study_count == 1
    with pytest.raises(StudyMissing, match="already"):
        delete(connection)
    assert trash.restore(connection, ONE, by=BY) == 4
    assert counts() == before
    assert visible(connection) == {ONE: 4, TWO: 1}
    with pytest.raises(StudyMissing):
        trash.restore(connection, ONE, by=BY)
    assert acts(connection, ONE)[-2:] == ["study.delete", "study.restore"]
    patients = connection.execute("SELECT patient_id FROM audit_entry WHERE study_uid = %s ORDER BY id", [ONE]).fetchall()
    assert patients[-1] == patients[-2] != ("",), "the audit names the patient, both times"
    (entry,) = trash.list_trash(connection, state=None)
    assert (entry.state, entry.ended_by, entry.reason) == ("restored", "tester", "the wrong one")


@pytest.mark.parametrize("what", ["the same bytes", "a new instance", "other bytes"])
def test_an_arrival_takes_the_whole_study_out_of_the_trash(
    archive: Indexer, spool: Spool, connection: psycopg.Connection, what: str
) -> None:
    delete(connection)
    delete(connection, TWO)
    if what == "the same bytes":
        send(spool, ONE, 1)
    elif what == "a new instance":
        send(spool, ONE, 4)
    else:
        send(spool, ONE, 2, patient_name="DOE^OTHER")
    archive.drain()
    assert visible(connection) == {ONE: 5 if what == "a new instance" else 4}
    (entry,) = trash.list_trash(connection, state="restored")
    assert (entry.study_instance_uid, entry.ended_by) == (ONE, "system")
    assert acts(connection, ONE)[-1] == "study.restore"
    study = Study.objects.get(study_instance_uid=ONE)
    sizes = Version.objects.filter(current=True, instance__series__study=study).values_list("dataset_bytes", flat=True)
    assert (study.size_bytes, study.series_count, study.instance_count) == (sum(sizes), 2, len(sizes))
    assert list(study.series.order_by("pk").values_list("instance_count", flat=True)) == [len(sizes) - 1, 1]


@pytest.mark.usefixtures("archive")
def test_holds_and_protection_keep_a_study(connection: psycopg.Connection) -> None:
    assert protect.hold(connection, ONE, label="case 1", reason="court order", by=BY)
    assert not protect.hold(connection, ONE, label=" case 1 ", reason="again", by=BY)
    with pytest.raises(StudyKept, match="case 1") as kept:
        delete(connection)
    assert kept.value.by == "hold"
    with pytest.raises(StudyMissing):
        protect.lift(connection, ONE, label="case 2", reason="", by=BY)
    protect.lift(connection, ONE, label="case 1", reason="closed", by=BY)
    assert [(one.label, one.lift_reason) for one in protect.list_holds(connection, ended=True)] == [("case 1", "closed")]
    assert protect.list_holds(connection) == []
    assert protect.protect(connection, ONE, by=BY)
    with pytest.raises(StudyKept, match="protected"):
        delete(connection)
    assert protect.protect(connection, ONE, by=BY, on=False)
    # A hold that is placed on what lies in the trash keeps it there.
    delete(connection)
    protect.hold(connection, ONE, label="late", reason="found out", by=BY)
    with pytest.raises(StudyKept):
        remove_study(ONE, ABOVE, by=BY)
    assert acts(connection, ONE)[-6:] == [
        "study.hold", "study.unhold", "study.protect", "study.unprotect", "study.delete", "study.hold"
    ]  # fmt: skip


@pytest.mark.usefixtures("archive")
def test_removed_for_good_with_its_proof_and_its_files(
    home: Path, connection: psycopg.Connection, free_port: Callable[[], int]
) -> None:
    study = Study.objects.get(study_instance_uid=ONE)
    node = add_node("archive", free_port())
    versions = [place.version_id for place in locate(connection, study_id=study.pk)]
    order(connection, versions, [node.pk], "rule")
    with pytest.raises(StudyKept, match="deliveries"):
        delete(connection)
    confirm(connection, versions)
    mine = [version.file_path for version in Version.objects.filter(instance__series__study=study)]
    others = sorted(set(stored_files(home)) - set(mine))
    with pytest.raises(StudyMissing):
        remove_study(ONE, ABOVE, by=BY)
    delete(connection, keep_days=0)
    protect.hold(connection, ONE, label="x", reason="y", by=BY)
    protect.lift(connection, ONE, label="x", reason="z", by=BY)
    gone = remove_study(ONE, ABOVE, by=BY, reason="enough")
    assert gone.instances == 4
    # A crash here: the rows are gone, the files are not, and nobody takes them for orphans.
    assert sorted(stored_files(home)) == sorted([*mine, *others])
    assert findings(home, connection) == []
    assert unlink_all(connection, volumes.of_home(connection, home)) == len(mine) == 5
    assert stored_files(home) == others
    assert not (home / mine[0]).parent.exists()
    assert findings(home, connection) == []
    assert not Study.objects.filter(study_instance_uid=ONE).exists()
    assert Instance.objects.count() == 1
    assert Patient.objects.get().study_count == 1
    receipt = trash.receipt_of_removed(connection, ONE)
    (destination,) = receipt["destinations"]
    assert (destination["node"], len(destination["instances"])) == ("archive", 4)
    assert all(one["status"] == "confirmed" and one["sent_sha256"] for one in destination["instances"])
    assert Trash.objects.get(state="removed").ended_by == "tester"
    # The last study of a patient takes the patient along.
    delete(connection, TWO)
    remove_study(TWO, ABOVE, by=BY)
    assert not Patient.objects.exists()


def confirm(connection: psycopg.Connection, versions: list[int], at: datetime | None = None) -> None:
    connection.execute(
        "UPDATE transfers_delivery d SET status = 'confirmed', confirmed_at = %s, sent_at = %s, dimse_status = 0,"
        " sha256 = (SELECT sha256 FROM catalogue_version v WHERE v.id = d.version_id) WHERE version_id = ANY(%s)",
        [at or datetime.now(UTC), datetime.now(UTC), versions],
    )


def findings(home: Path, connection: psycopg.Connection) -> list[str]:
    from gantry.intake.reconcile import expected_files

    found = verify(home, expected_files(connection), lambda paths: known_paths(connection, paths), grace_seconds=0)
    return [f"{one.kind} {one.path}" for one in found if one.kind != "ok"]


def test_what_arrives_between_removal_and_unlinking_keeps_its_file(
    archive: Indexer, spool: Spool, home: Path, connection: psycopg.Connection
) -> None:
    """The removed study comes again before its old files were unlinked: the new rows use a file that is doomed."""
    delete(connection)
    remove_study(ONE, ABOVE, by=BY)
    send(spool, ONE, 1)
    assert archive.drain().new == 1
    unlink_all(connection, volumes.of_home(connection, home))
    assert findings(home, connection) == []
    assert visible(connection) == {ONE: 1, TWO: 1}
    (place,) = locate(connection, study_id=Study.objects.get(study_instance_uid=ONE).pk)
    assert os.path.exists(home / place.file_path)
    assert connection.execute("SELECT count(*) FROM catalogue_doomedfile").fetchone() == (0,)


def test_unlinking_waits_for_the_batch_that_is_being_indexed(
    home: Path, connection: psycopg.Connection, archive: Indexer
) -> None:
    delete(connection)
    remove_study(ONE, ABOVE, by=BY)
    lock, done = PlacingLock(home), threading.Event()

    def unlink() -> None:
        with database.connect(autocommit=True) as own:
            unlink_all(own, volumes.of_home(own, home))
        done.set()

    with lock.shared():
        thread = threading.Thread(target=unlink)
        thread.start()
        assert not done.wait(0.3)
        assert len(stored_files(home)) == 6
    assert done.wait(60)
    thread.join()
    lock.close()
    assert len(stored_files(home)) == 1


@pytest.mark.usefixtures("archive")
def test_the_trash_expires(home: Path, connection: psycopg.Connection) -> None:
    delete(connection, keep_days=1)
    delete(connection, TWO, keep_days=1)
    protect.hold(connection, TWO, label="late", reason="found out", by=BY)
    now = datetime.now(UTC)
    assert run_life(connection, home, now=now).removed == 0
    run = run_life(connection, home, now=now + timedelta(days=2))
    assert (run.removed, run.unlinked) == (1, 5)
    assert [one.study_instance_uid for one in trash.list_trash(connection)] == [TWO], "the hold keeps it"
    assert len(list(files_in([home / "objects"]))) == 1


def test_delivered_means_all_of_it_everywhere(
    archive: Indexer, spool: Spool, connection: psycopg.Connection, free_port: Callable[[], int]
) -> None:
    study = Study.objects.get(study_instance_uid=ONE)
    assert delivered(connection, [study.pk]) == {}, "nothing was ordered: nobody else has it"
    first, second = add_node("first", free_port()), add_node("second", free_port())
    versions = [place.version_id for place in locate(connection, study_id=study.pk)]
    order(connection, versions, [first.pk], "rule")
    assert delivered(connection, [study.pk]) == {}
    confirm(connection, versions)
    assert set(delivered(connection, [study.pk])) == {study.pk}
    order(connection, versions[:1], [second.pk], "rule")
    assert delivered(connection, [study.pk]) == {}, "one of two destinations waits"
    confirm(connection, versions)
    assert set(delivered(connection, [study.pk])) == {study.pk}
    send(spool, ONE, 7)
    archive.drain()
    assert delivered(connection, [study.pk]) == {}, "what came late was not delivered"
