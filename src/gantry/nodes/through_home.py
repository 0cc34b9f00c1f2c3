"""Into a folder by C-MOVE: the node sends to our receiver, and what came to lie in the home is copied from there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic

from dimse.errors import Refused
from gantry import database
from gantry.catalogue.locate import lookup_versions
from gantry.dataset import read_part10
from gantry.nodes.into import AwaitIndex, IntoFolder
from gantry.nodes.moves import Moves
from gantry.storage import resolve
from gantry.storage.errors import StorageError

_HEAD = 256 << 10


class IntoFolderThroughHome(IntoFolder):
    """Takes what comes by C-GET as the folder does, and what was moved from the home, where it stays as well."""

    def __init__(self, folder: Path, home: Path, await_index: AwaitIndex) -> None:
        """Makes the folder. Raises OSError."""
        super().__init__(folder)
        self.moves = Moves(await_index)
        self._home = home
        self._await_index = await_index
        self._stopped = False
        self._copied: set[str] = set()

    def settle(self, uids: Collection[str], idle_seconds: float) -> set[str]:
        left = set(uids) - self.kept.keys() - self._copied
        quiet_since = monotonic()
        found: dict[str, list[str]] = {}
        with closing(database.connect(autocommit=True, application="gantry-fetch")) as connection:

            def take(*, patient: bool) -> None:
                nonlocal quiet_since
                rest = left - found.keys()
                if self.moves.any:
                    self.moves.look(connection)
                    rest = self.moves.here(connection, rest, patient=patient)
                for uid, one in lookup_versions(connection, rest).items():
                    if not one.trashed:
                        brought = self.moves.came.get(uid, one.digests.keys())
                        found[uid] = [path for digest, path in one.digests.items() if digest in brought]
                        quiet_since = monotonic()

            def is_done() -> bool:
                take(patient=True)
                return left <= found.keys() or self._stopped or monotonic() - quiet_since > idle_seconds

            if not is_done():
                self._await_index(is_done)
                is_done()
            if not left <= found.keys():
                take(patient=False)
        for uid, paths in found.items():
            with suppress(Refused):  # the reason is in `refused`
                self._copy(uid, paths)
        return super().settle(set(uids) - self._copied, idle_seconds)

    def _copy(self, uid: str, paths: list[str]) -> None:
        """The version that came last, as the file that it is."""
        draft = self.draft()
        try:
            source = max((resolve(self._home, path) for path in paths), key=lambda path: os.stat(path).st_mtime_ns)
            shutil.copyfile(source, draft, follow_symlinks=False)
            size = draft.stat().st_size
            with open(draft, "rb") as file:
                head = file.read(_HEAD)
                part = read_part10(memoryview(head), total=size)
                file.seek(part.dataset_offset)
                digest = hashlib.file_digest(file, "sha256").digest()
            self.publish(draft, head[part.dataset_offset :], uid, part.transfer_syntax_uid, digest)
        except (OSError, StorageError) as error:
            self.refused[uid] = f"cannot be copied from the home: {getattr(error, 'strerror', None) or error}"
            return
        finally:
            draft.unlink(missing_ok=True)
        # It came by another way than ours: not counted among what we kept ourselves.
        del self.kept[uid]
        self.refused.pop(uid, None)
        self._copied.add(uid)

    def stop(self) -> None:
        self._stopped = True
