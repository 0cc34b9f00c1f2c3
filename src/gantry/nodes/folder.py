"""A lane to a folder: whole Part 10 files, as they are stored, at a path made of their keywords."""

from __future__ import annotations

import errno
import hashlib
from datetime import datetime

from gantry.nodes.folder_path import path_of
from gantry.nodes.folder_write import FolderTrouble, NameTaken, explain, free_bytes, opened, write_file
from gantry.nodes.items import FolderTarget, Outcome, SendItem
from gantry.nodes.lane import Lane, Run
from gantry.nodes.outgoing import file_prefix, outgoing
from gantry.nodes.stored import StoredDataSet

#: What is wrong with one name, not with the folder.
_OF_THE_NAME = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)


class FolderLane(Lane):
    """One thread that writes."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        assert isinstance(run.target, FolderTarget)
        self._target = run.target

    def one(self, item: SendItem, data: StoredDataSet, started: datetime) -> bool:
        """Write one file; False when the folder takes nothing now: the item waits with the others."""
        with outgoing(item, data, None) as out:
            assert out is not None
            if self.wait_for_room(item, out.size) is None:
                return False
            prefix = file_prefix(item, out)
            digest = hashlib.sha256(prefix)
            for view in out.views:
                digest.update(view)
            values = {**(item.values or {}), "SOPInstanceUID": out.sop_instance_uid, "SOPClassUID": item.sop_class_uid}
            try:
                with opened(self._target.root) as root:
                    self._check_room(root, len(prefix) + out.size)
                    write_file(root, path_of(self._target.template, values), [prefix, *out.views], digest.digest())
            except NameTaken as error:
                self.record(item, Outcome.REFUSED, started, str(error), permanent=True, out=out)
                return True
            except OSError as error:
                if error.errno in _OF_THE_NAME:
                    text = "the file system does not take the name that the path template makes of this instance"
                    self.record(item, Outcome.REFUSED, started, text, permanent=True, out=out)
                    return True
                return self._trouble(item, explain(error, self._target.root))
            except FolderTrouble as error:
                return self._trouble(item, str(error))
            self.record(item, Outcome.CONFIRMED, started, "", status=0, out=out)
            return True

    def _check_room(self, root: int, size: int) -> None:
        if free_bytes(root) - size < self._target.reserve_bytes:
            raise FolderTrouble(explain(OSError(errno.ENOSPC, ""), self._target.root))

    def _trouble(self, item: SendItem, text: str) -> bool:
        self.joint.feed.push_back(item)
        self.joint.unreachable(text)
        return False

    def drop(self) -> None:
        """Nothing is kept open."""

    def close(self) -> None:
        """Nothing is kept open."""
