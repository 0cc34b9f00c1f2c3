"""Bytes in, same bytes out: a durable spool that needs no database, final places, volumes, verification.

Knows no DICOM. Verbs: SpoolWriter.begin -> IncomingObject.commit, SpoolReader.pending -> place -> sync -> release,
resolve, open_object, verify.
"""

from gantry.storage.incoming import IncomingObject
from gantry.storage.layout import object_path, on_volume, quarantine_path, resolve, volume_of
from gantry.storage.objects import StoredObject, open_object
from gantry.storage.spool_reader import SpoolReader
from gantry.storage.spool_writer import SpoolWriter
from gantry.storage.spooled import AssociationEnded, RunEnded, RunStarted, SpooledObject
from gantry.storage.verify import ExpectedFile, Finding, adopt_orphan, remove_leftover, verify
from gantry.storage.volumes import is_away, is_ours

__all__ = [
    "AssociationEnded", "ExpectedFile", "Finding", "IncomingObject", "RunEnded", "RunStarted", "SpoolReader",
    "SpoolWriter", "SpooledObject", "StoredObject", "adopt_orphan", "is_away", "is_ours", "object_path", "on_volume",
    "open_object", "quarantine_path", "remove_leftover", "resolve", "verify", "volume_of",
]  # fmt: skip
