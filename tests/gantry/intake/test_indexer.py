"""From the spool to rows, fact and final place; with crashes, a database that goes away, and poison."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.gantry.intake.conftest import ASSOCIATION, LARGE, Spool, new_association, rows, spooled_files, stored_files
from tests.support import part10_files as files

from gantry import facts
from gantry.catalogue.models import Conflict, Instance, OpenAssociation, Study, Version
from gantry.facts.models import Fact
from gantry.intake import indexer as indexer_module
from gantry.intake.indexer import Indexer, Settling
from gantry.intake.models import QuarantinedObject, SpoolPosition

Make = Callable[..., Indexer]


def ct(number: int = 1, **changes: Any) -> bytes:
    return files.ct_dataset(number=number, **changes)


def large(number: int = 1, **changes: Any) -> bytes:
    return files.ct_dataset(number=number, side=800, **changes)


def bytes_of(home: Path, version: Version) -> bytes:
    return (home / version.file_path).read_bytes()[version.dataset_offset :]


def test_small_and_large_objects_become_rows_files_and_a_fact(spool: Spool, home: Path, make_indexer: Make) -> None:
    sent = [ct(n) for n in range(1, 6)] + [large(n) for n in range(6, 9)]
    assert len(sent[-1]) > LARGE
    digests = [spool.send(dataset) for dataset in sent]
    outcome = make_indexer().drain()
    assert (outcome.new, outcome.duplicates, outcome.held) == (8, 0, 0)
    versions = list(Version.objects.order_by("instance__instance_number"))
    assert [bytes_of(home, version) for version in versions] == sent
    assert [bytes(version.sha256) for version in versions] == digests
    assert {version.file_path for version in versions} == set(stored_files(home))
    first = versions[0]
    assert (first.calling_aet, first.called_aet, first.origin, first.association_id) == ("CT1", "GANTRY", "dimse", ASSOCIATION)
    assert first.header["TransferSyntaxUID"] == files.EXPLICIT_LITTLE_ENDIAN
    assert first.file_bytes == first.dataset_offset + first.dataset_bytes
    assert [(fact.kind, fact.payload["instances"]) for fact in Fact.objects.all()] == [("Arrived", 8)]
    assert {str(version.batch_id) for version in versions} == {Fact.objects.get().payload["batch_id"]}
    assert spooled_files(home) == []
    assert make_indexer().drain().new == 0, "the position is remembered"


def test_duplicates_and_later_versions(spool: Spool, home: Path, make_indexer: Make, connection: psycopg.Connection) -> None:
    indexer = make_indexer()
    for dataset in (ct(), ct(), large(2), large(2)):
        spool.send(dataset)
    assert (outcome := indexer.drain()).new == 2
    assert outcome.duplicates == 2
    for dataset in (ct(), ct(fill=1), large(2, fill=1)):
        spool.send(dataset)
    outcome = indexer.drain()
    assert (outcome.new, outcome.versions, outcome.duplicates) == (0, 2, 1)
    later = hashlib.sha256(ct(fill=1)).hexdigest()[:16]
    assert [path for *_, path, _ in rows(connection)][2].endswith(f"~{later}.dcm")
    assert {path for *_, path, _ in rows(connection)} == set(stored_files(home)), "no bytes without a row"
    assert [current for *_, current in rows(connection)] == [False, False, True, True]
    assert Conflict.objects.filter(kind="bytes").count() == 2
    assert [fact.payload["instances"] for fact in Fact.objects.order_by("id")] == [2, 2]


CASES = {
    "study_uid_missing": (lambda: ct(study=""), {}),
    "series_uid_missing": (lambda: ct(series="", instance="1.2.3"), {}),
    "sop_instance_uid_invalid": (lambda: ct(instance="../../etc/passwd"), {}),
    "study_uid_invalid": (lambda: ct(study="1." * 37 + "1"), {}),
    "sop_instance_differs": (ct, {"instance": "1.2.3.4"}),
    "sop_class_differs": (ct, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}),
    "sop_instance_uid_missing": (lambda: b"", {}),
}


@pytest.mark.parametrize("reason", CASES)
def test_what_cannot_be_indexed_is_held_whole(reason: str, spool: Spool, home: Path, make_indexer: Make) -> None:
    make, options = CASES[reason]
    dataset = make()
    spool.send(ct(50))
    spool.send(dataset, **options)
    spool.send(dataset, **options)
    spool.send(ct(51))
    outcome = make_indexer().drain()
    assert (outcome.new, outcome.held) == (2, 2)
    held = QuarantinedObject.objects.get()
    assert (held.reason, held.state, held.calling_aet) == (reason, "held", "CT1")
    assert bytes(held.sha256) == hashlib.sha256(dataset).digest()
    assert (home / held.file_path).read_bytes()[held.dataset_offset :] == dataset
    assert stored_files(home, "quarantine") == [held.file_path]
    assert Instance.objects.count() == 2


@pytest.mark.parametrize("size", [ct, large], ids=["journal", "file"])
@pytest.mark.parametrize("place", ["index_versions", "_finish", "publish"])
def test_a_crash_between_placing_commit_and_release_changes_nothing(
    place: str,
    size: Callable[..., bytes],
    spool: Spool,
    home: Path,
    make_indexer: Make,
    monkeypatch: pytest.MonkeyPatch,
    connection: psycopg.Connection,
) -> None:
    """Before the rows, after the rows but before the commit, after the commit but before the spool lets go."""
    sent = [size(n) for n in range(1, 4)] + [size(1, fill=9)]
    for dataset in sent:
        spool.send(dataset)
    spool.send(size(9, study=""))

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if place == "_finish":
            patch.setattr(Indexer, "_finish", die)
        elif place == "publish":
            patch.setattr(facts, "publish", die)
        else:
            patch.setattr(indexer_module, "index_versions", die)
        with pytest.raises(Killed):
            make_indexer().drain()
    make_indexer().drain()
    assert Version.objects.count() == 4
    assert QuarantinedObject.objects.count() == 1
    assert {bytes_of(home, version) for version in Version.objects.all()} == set(sent)
    assert set(stored_files(home)) == {path for *_, path, _ in rows(connection)} | {QuarantinedObject.objects.get().file_path}
    assert sum(fact.payload["instances"] for fact in Fact.objects.filter(kind="Arrived")) == 4
    assert spooled_files(home) == []
    assert Study.objects.get().instance_count == 3


def test_the_database_goes_away_in_the_middle(
    spool: Spool, home: Path, make_indexer: Make, connection: psycopg.Connection
) -> None:
    """Backends are killed again and again while objects arrive; in the end all are there, once."""
    indexer = make_indexer(batch=20)
    stop = threading.Event()
    thread = threading.Thread(target=indexer.run, args=(stop,))
    thread.start()
    killed = 0
    try:
        for number in range(1, 201):
            spool.send(ct(number))
            if number % 40 == 0:
                killed += connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'gantry'"
                ).rowcount
        deadline = time.monotonic() + 60
        while Version.objects.count() < 200 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert killed > 0
    assert Version.objects.count() == Instance.objects.count() == 200
    assert sum(fact.payload["instances"] for fact in Fact.objects.filter(kind="Arrived")) == 200
    assert len(stored_files(home)) == 200


def test_an_object_is_indexed_unasked(spool: Spool, make_indexer: Make) -> None:
    indexer, stop = make_indexer(), threading.Event()
    thread = threading.Thread(target=indexer.run, args=(stop,))
    thread.start()
    try:
        time.sleep(0.3)
        for number in range(1, 4):
            spool.send(ct(number))
            began = time.monotonic()
            while Version.objects.count() < number:
                assert time.monotonic() - began < 30
                time.sleep(0.01)
    finally:
        stop.set()
        thread.join(60)


def test_one_poisoned_object_is_held_and_the_rest_goes_on(
    spool: Spool, home: Path, make_indexer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that PostgreSQL refuses: what we did not think of."""
    real = indexer_module.examine

    def strange(obj: Any) -> Any:
        found = real(obj)
        if found.row and found.row.header["InstanceNumber"] in {"5", "11"}:
            found.row.transfer_syntax_uid = "a\0b"
        return found

    monkeypatch.setattr(indexer_module, "examine", strange)
    for number in range(1, 16):
        spool.send(ct(number))
    outcome = make_indexer().drain()
    assert (outcome.new, outcome.held) == (13, 2)
    assert [held.reason for held in QuarantinedObject.objects.all()] == ["not_indexable"] * 2
    assert len(stored_files(home, "objects")) == 13, "what was placed for it is taken back"
    assert len(stored_files(home, "quarantine")) == 2
    assert Study.objects.get().instance_count == 13
    assert make_indexer().drain().new == 0


def test_a_server_that_refuses_everything_poisons_nothing(
    spool: Spool, make_indexer: Make, connection: psycopg.Connection
) -> None:
    """A missing table is no fault of the objects: they wait."""
    spool.send(ct())
    connection.execute("ALTER TABLE catalogue_conflict RENAME TO elsewhere")
    connection.execute("ALTER TABLE catalogue_version RENAME TO elsewhere_2")
    try:
        with pytest.raises(psycopg.errors.UndefinedTable):
            make_indexer().drain()
    finally:
        connection.execute("ALTER TABLE elsewhere RENAME TO catalogue_conflict")
        connection.execute("ALTER TABLE elsewhere_2 RENAME TO catalogue_version")
    assert QuarantinedObject.objects.count() == 0
    assert make_indexer().drain().new == 1


def test_other_bytes_at_the_place_do_not_stop_it(
    spool: Spool, home: Path, make_indexer: Make, connection: psycopg.Connection
) -> None:
    indexer = make_indexer()
    spool.send(ct())
    indexer.drain()
    (path,) = stored_files(home)
    with connection.transaction():
        connection.execute("DELETE FROM catalogue_version")
        connection.execute("DELETE FROM catalogue_instance")
    spool.send(ct(fill=3))
    assert indexer.drain().new == 1
    assert rows(connection)[0][2] == path.replace(".dcm", f"~{hashlib.sha256(ct(fill=3)).hexdigest()[:16]}.dcm")
    spool.send(ct())
    assert indexer.drain().versions == 1, "under the digest's name"
    assert len(stored_files(home)) == 3


def test_a_file_with_the_same_data_set_is_used(
    spool: Spool, home: Path, make_indexer: Make, connection: psycopg.Connection
) -> None:
    """A database from before yesterday: the object comes again, with another association in its prefix."""
    indexer = make_indexer()
    spool.send(ct())
    indexer.drain()
    with connection.transaction():
        connection.execute("DELETE FROM catalogue_version")
        connection.execute("DELETE FROM catalogue_instance")
    spool.send(ct(), association=new_association(), calling_aet="ANOTHER-ONE")
    assert indexer.drain().new == 1
    version = Version.objects.get()
    assert stored_files(home) == [version.file_path]
    assert bytes_of(home, version) == ct()


def test_a_study_settles_when_its_association_has_ended_and_it_is_quiet(spool: Spool, make_indexer: Make) -> None:
    indexer = make_indexer()
    spool.send(large(1))
    spool.send(ct(2))
    indexer.drain()
    assert indexer.settle() == 0, "the association is open"
    assert OpenAssociation.objects.get().association_id == ASSOCIATION
    spool.send(large(3))
    spool.writer.note_association_end(ASSOCIATION)
    indexer.drain()
    assert OpenAssociation.objects.count() == 0
    assert make_indexer(settling=Settling(60.0, True)).settle() == 0, "not quiet yet"
    assert indexer.settle() == 1
    assert indexer.settle() == 0
    study = Study.objects.get()
    assert study.settled_at is not None
    assert Fact.objects.filter(kind="Settled").get().payload == {"study_id": study.id}
    spool.send(ct(4), association=new_association())
    indexer.drain()
    assert Study.objects.get().settled_at is None, "a late instance opens it again"
    assert make_indexer(settling=Settling(0.0, False)).settle() == 1, "where associations do not matter"


def test_a_receiver_that_died_holds_no_study_open(spool: Spool, home: Path, make_indexer: Make) -> None:
    indexer = make_indexer()
    spool.send(ct(1))
    indexer.drain()
    assert OpenAssociation.objects.count() == 1
    spool.send(large(2))
    spool.close()
    again = Spool(home)
    try:
        again.send(ct(1, study="1.2.3", series="1.2.3.4"), association=new_association())
        indexer.drain()
        assert [entry.study.study_instance_uid for entry in OpenAssociation.objects.all()] == ["1.2.3"]
        assert indexer.settle() == 1
    finally:
        again.close()


def test_positions_of_recycled_segments_are_forgotten(spool: Spool, home: Path, make_indexer: Make) -> None:
    indexer = make_indexer()
    spool.send(ct(1))
    indexer.drain()
    assert SpoolPosition.objects.count() == 1
    before = SpoolPosition.objects.get().segment
    spool.close()
    again = Spool(home)
    try:
        again.send(ct(2))
        time.sleep(0.6)  # the reader looks twice a second whether a writer lives
        indexer.drain()
        assert before not in set(SpoolPosition.objects.values_list("segment", flat=True))
        assert Version.objects.count() == 2
    finally:
        again.close()
