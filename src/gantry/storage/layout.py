"""Where things lie under the home, and which names may become part of a path."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from gantry.storage.errors import PathRefused

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600

#: Parts between dots, of digits only: this can be neither "." nor ".." and holds no separator.
_DOTTED_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_DOTTED_NUMBER_MAX = 64
_COMPONENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._~-]{0,127}", re.ASCII)
_SLOT = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_PLACES = frozenset({"objects", "quarantine"})
_VOLUMES = "volumes"
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SlotPaths:
    """The folders of one slot of the spool (one writer process at a time)."""

    name: str
    root: str

    @property
    def lock(self) -> str:
        return f"{self.root}/lock"

    @property
    def journal(self) -> str:
        return f"{self.root}/journal"

    @property
    def incoming(self) -> str:
        return f"{self.root}/incoming"


def spool_root(home: Path) -> str:
    return f"{home}/spool"


def slot_paths(home: Path, slot: str) -> SlotPaths:
    """The folders of `slot`; PathRefused unless it is lower-case letters, digits and hyphens."""
    if not _SLOT.fullmatch(slot):
        raise PathRefused("a slot name has lower-case letters, digits and hyphens, 64 at most")
    return SlotPaths(slot, f"{spool_root(home)}/{slot}")


def object_path(study: str, series: str, instance: str, digest: bytes | None = None) -> str:
    """The place of an object under the home: objects/<shard>/<study>/<series>/<instance>.dcm.

    The three names are dotted numbers of at most 64 characters (the form of a UID). With `digest`, the
    place of a later version of the same object. Raises PathRefused, with no part of the name in it.
    """
    for name in (study, series, instance):
        if len(name) > _DOTTED_NUMBER_MAX or not _DOTTED_NUMBER.fullmatch(name):
            raise PathRefused("an object is named by numbers with dots between them, 64 characters at most")
    # The shard keeps folders small: 256 of them, filled evenly whatever the root of the names is.
    shard = hashlib.sha256(study.encode("ascii")).hexdigest()[:2]
    version = "" if digest is None else f"~{digest.hex()[:16]}"
    return f"objects/{shard}/{study}/{series}/{instance}{version}.dcm"


def quarantine_path(identifier: UUID) -> str:
    """The place of a held object under the home: quarantine/<uuid>.dcm."""
    return f"quarantine/{identifier}.dcm"


def on_volume(volume_id: int | None, relative: str) -> str:
    """A place of `object_path` on a volume; None: in the home itself."""
    return relative if volume_id is None else f"{_VOLUMES}/{volume_id}/{relative}"


def volume_of(relative: str) -> int | None:
    """The volume on which a place lies; None: in the home itself."""
    first, _, rest = relative.partition("/")
    if first != _VOLUMES:
        return None
    number, slash, _ = rest.partition("/")
    return int(number) if slash and _NUMBER.fullmatch(number) else None


def volume_link(home: Path, volume_id: int) -> str:
    """The name in the home that leads to a volume."""
    return f"{home}/{_VOLUMES}/{volume_id}"


def resolve(home: Path, relative: str) -> str:
    """The full path of an object's place, on whatever volume; PathRefused when it could leave objects/ or quarantine/."""
    components = relative.split("/")
    if components[0] == _VOLUMES and volume_of(relative) is not None:
        components = components[2:]
        if components[0] != "objects":
            raise PathRefused("on a volume an object lies under objects/")
    if len(components) < 2 or components[0] not in _PLACES:
        raise PathRefused("an object lies under objects/ or quarantine/")
    if not all(_COMPONENT.fullmatch(component) for component in components):
        raise PathRefused("a part of the path is not a plain name")
    return f"{home}/{relative}"


def make_directory(path: str) -> list[str]:
    """Make `path` and its missing parents (mode 0700); gives the folders to sync for that."""
    missing = []
    here = path
    while not os.path.isdir(here):
        missing.append(here)
        here = os.path.dirname(here)
    changed = []
    for folder in reversed(missing):
        try:
            os.mkdir(folder, DIRECTORY_MODE)
        except FileExistsError:
            continue
        changed.append(os.path.dirname(folder))
    return changed
