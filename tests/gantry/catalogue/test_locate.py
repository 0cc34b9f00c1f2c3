"""Where the bytes are."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from tests.gantry.catalogue.conftest import ROOT, make_row

from gantry.catalogue import IndexedBatch, every_location, locate, lookup_versions
from gantry.catalogue.models import Version

Index = Callable[..., IndexedBatch]


def test_known_digests(index: Index, connection: psycopg.Connection) -> None:
    index(make_row("1"), make_row("1", content="b"), make_row("2"))
    known = lookup_versions(connection, [f"{ROOT}.1.1.1", f"{ROOT}.1.1.2", "9.9"])
    assert set(known) == {f"{ROOT}.1.1.1", f"{ROOT}.1.1.2"}
    assert known[f"{ROOT}.1.1.1"].digests.keys() == {make_row("1").sha256, make_row("1", content="b").sha256}
    assert known[f"{ROOT}.1.1.2"].study_instance_uid == f"{ROOT}.1"
    assert lookup_versions(connection, []) == {}


def test_by_version_study_and_batch(index: Index, connection: psycopg.Connection) -> None:
    batch = index(*(make_row(str(n), header={"InstanceNumber": str(9 - n)}) for n in range(1, 4)))
    index(make_row("1", content="b", header={"InstanceNumber": "8"}))
    (study_id,) = batch.study_ids.values()
    current = locate(connection, study_id=study_id)
    assert [place.sop_instance_uid for place in current] == [f"{ROOT}.1.1.{n}" for n in (3, 2, 1)]
    assert current[-1].sha256 == make_row("1", content="b").sha256
    assert (current[0].dataset_offset, current[0].dataset_bytes, current[0].file_bytes) == (400, 600, 1000)
    old = Version.objects.get(current=False)
    assert [place.version_id for place in locate(connection, version_ids=[old.id, 10**9])] == [old.id]
    assert len(locate(connection, batch_id=old.batch_id)) == 3
    assert locate(connection, version_ids=[]) == []
    with pytest.raises(ValueError, match="version_ids, study_id or batch_id"):
        locate(connection)


def test_every_location_in_the_order_of_bytes(index: Index, connection: psycopg.Connection) -> None:
    index(*(make_row(f"{n}", series=f"{n % 12}") for n in range(1, 300)))
    with connection.transaction():
        paths = [place.file_path for place in every_location(connection, page=7)]
    assert paths == sorted(paths)
    assert len(paths) == 299
    walker = every_location(connection)
    next(walker)
    walker.close()
    assert connection.execute("SELECT 1").fetchone() == (1,)
