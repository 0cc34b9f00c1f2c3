"""What can go wrong with bytes.

StorageError
├── StorageFull        no space (or quota) left: ask again later
├── StorageFailed      the volume answered with an error, or the bytes are not what they were
├── SourceFailed       a file that was to be taken in cannot be read
├── SlotBusy           another process writes into this slot
├── PathRefused        a name that may not become part of a path
├── PlaceTaken         another file lies at the wanted place
├── ObjectMissing      no file lies at the wanted place
├── VolumeMissing      a volume is not mounted: its folder lacks the mark
└── VolumeRefused      a folder that cannot become a volume
"""

from __future__ import annotations

import errno

# EFBIG: a file size limit of the process (RLIMIT_FSIZE) or of the file system.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StorageError(Exception):
    """The bytes could not be kept or given."""


class StorageFull(StorageError):
    """The volume has no space left; free some, nothing needs a restart."""


class StorageFailed(StorageError):
    """The volume answered with an error; the object is not stored."""


class SourceFailed(StorageError):
    """The file to be taken in cannot be read."""


class SlotBusy(StorageError):
    """Another process writes into this slot of the spool."""


class PathRefused(StorageError, ValueError):
    """This name may not become part of a path."""


class PlaceTaken(StorageError):
    """A file with other bytes lies at this place."""


class ObjectMissing(StorageError):
    """No file lies at this place."""


class VolumeMissing(StorageError):
    """A volume is not mounted; nothing is written in its place, and nothing on it is lost."""


class VolumeRefused(StorageError, ValueError):
    """This folder cannot become a volume."""


def from_os_error(error: OSError, doing: str) -> StorageFull | StorageFailed:
    """The error of the tree that says what `error` means; `doing` holds no path and no patient data."""
    reason = f"{doing}: {error.strerror or type(error).__name__}"
    return StorageFull(reason) if error.errno in _FULL else StorageFailed(reason)
