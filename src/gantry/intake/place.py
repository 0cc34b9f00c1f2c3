"""Where the bytes of an examined object go: under objects/, or into the quarantine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from gantry.catalogue import Known
from gantry.dataset import DatasetError, read_part10
from gantry.intake import reasons
from gantry.intake.examine import Examined
from gantry.intake.volumes import Shelves
from gantry.storage import SpoolReader, is_away, object_path, on_volume, open_object, quarantine_path, resolve, volume_of
from gantry.storage.errors import ObjectMissing, PlaceTaken, StorageError, StorageFailed, StorageFull, VolumeMissing

_HEAD = 1 << 20


def place_version(home: Path, reader: SpoolReader, found: Examined, known: Mapping[str, Known], shelves: Shelves) -> None:
    """Place a first version under its UIDs, a later one with its digest in the name; sets `row.file_path`.

    Which of the two it is, is only a matter of the name: if another file was faster, the digest goes into it.
    Where a file with the same data set lies already (of a crash, or of a time the database does not know), that
    one is used. A volume that is full or away is left for the next one. Raises storage errors other than PlaceTaken.
    """
    if found.row is None:
        return
    refusal: StorageError | None = None
    for volume_id in shelves.choices():
        try:
            _place_on(volume_id, home, reader, found, known)
        except (StorageFull, VolumeMissing) as error:
            refusal = error
            shelves.give_up(volume_id, error)
        else:
            shelves.spend(volume_id, found.object.size)
            return
    raise refusal or StorageFull("no volume may be written to")


def _place_on(volume_id: int | None, home: Path, reader: SpoolReader, found: Examined, known: Mapping[str, Known]) -> None:
    row = found.row
    assert row is not None
    uids = (row.study_instance_uid, row.series_instance_uid, row.sop_instance_uid)
    row.volume_id = volume_id
    for digest in (row.sha256,) if row.sop_instance_uid in known else (None, row.sha256):
        relative = on_volume(volume_id, object_path(*uids, digest))
        try:
            reader.place(found.object, relative)
        except PlaceTaken:
            if not _is_same(home, relative, found):
                continue
        else:
            found.placed = relative
        row.file_path = relative
        return
    found.hold(reasons.PLACE_TAKEN)


def restore_lost(home: Path, reader: SpoolReader, found: Examined, relative: str, shelves: Shelves) -> None:
    """The bytes are known, but their file is gone: put them back, or where their volume is full to another one.

    `restored` says where the row has it, `placed_again` where it is now. On a volume that is away nothing is lost.
    """
    if os.path.exists(resolve(home, relative)) or is_away(home, relative):
        return
    inside = relative if (own := volume_of(relative)) is None else relative.split("/", 2)[2]
    for volume_id in dict.fromkeys((own, *shelves.choices())):
        place = on_volume(volume_id, inside)
        try:
            reader.place(found.object, place)
        except (StorageFull, VolumeMissing) as error:
            shelves.give_up(volume_id, error)
        except PlaceTaken:
            return
        else:
            found.restored, found.placed_again = relative, (place, volume_id)
            return
    raise StorageFull("no volume takes a file that was lost and came again")


def _is_same(home: Path, relative: str, found: Examined) -> bool:
    """Whether the file there has our data set; then the row describes that file."""
    row = found.row
    assert row is not None
    there = _same_dataset(home, relative, found)
    if there is None:
        return False
    row.dataset_offset, row.file_bytes = there
    return True


def _same_dataset(home: Path, relative: str, found: Examined) -> tuple[int, int] | None:
    """(where the data set begins, size of the file) when the file there has the data set of this object."""
    obj = found.object
    try:
        with open_object(home, relative, dataset_offset=0) as there:
            size = there.file_bytes
            offset = read_part10(there.head[:_HEAD], total=size).dataset_offset
        if size - offset != obj.size - obj.dataset_offset:
            return None
        with open_object(home, relative, dataset_offset=offset) as there:
            return (offset, size) if there.digest() == obj.sha256 else None
    except (ObjectMissing, StorageFailed, DatasetError):
        return None


def place_held(home: Path, reader: SpoolReader, found: Examined) -> tuple[str, int, int]:
    """Keep a held object whole in the quarantine; gives its path, where its data set begins, and its size."""
    relative = quarantine_path(found.quarantine_id)
    try:
        reader.place(found.object, relative)
    except PlaceTaken:
        # The id comes from the digest of the data set: it is held already, with another prefix.
        there = _same_dataset(home, relative, found)
        return relative, *(there or (found.object.dataset_offset, found.object.size))
    return relative, found.object.dataset_offset, found.object.size


def take_back(home: Path, relative: str) -> None:
    """Remove a file that was placed and that no row names."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(resolve(home, relative))
