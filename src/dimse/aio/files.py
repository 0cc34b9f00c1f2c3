"""Writes instances to a folder as DICOM files (PS3.10 section 7.1); a place for C-STORE and C-GET."""

from __future__ import annotations

import errno
import itertools
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dimse.acceptance import StoreAnswer, StoreRequest
from dimse.errors import Refused
from dimse.negotiation import AcceptedContext
from dimse.status import OUT_OF_RESOURCES
from dimse.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, is_uid

_INVALID_INSTANCE = 0x0117
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_numbers = itertools.count(1)


class Folder:
    """Takes instances as `<SOP instance UID>.dcm`: complete or not at all, a later one takes the place of an earlier.

    Give it as `store` to `ClientAssociation.get`, or call it in an acceptor's `store`. Data sets are written as they
    came, byte for byte. Writing goes to the page cache of the system: it blocks the event loop only when that is full.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        #: How many instances were written.
        self.count = 0

    def __call__(self, request: StoreRequest, context: AcceptedContext) -> FileSink:
        """A place for one instance. `Refused` with 0117 when its UID is none, so that it cannot name another path."""
        if not is_uid(request.sop_instance_uid):
            raise Refused(_INVALID_INSTANCE, "the SOP instance UID is no UID")
        return FileSink(self, request, context)


class FileSink:
    """One file, under a name of its own until it is complete."""

    def __init__(self, folder: Folder, request: StoreRequest, context: AcceptedContext) -> None:
        self._folder = folder
        self._name = folder.path / f"{request.sop_instance_uid}.dcm"
        self._part = folder.path / f".{os.getpid()}-{next(_numbers)}.part"
        self._file: BinaryIO = open(self._part, "xb", buffering=0)  # noqa: SIM115  # closed by finish or abort
        try:
            self.write(memoryview(file_head(request.sop_class_uid, request.sop_instance_uid, context.transfer_syntax)))
        except BaseException:
            self.abort()
            raise

    def write(self, view: memoryview) -> None:
        """A piece of the data set. `Refused` with A700 when the volume is full."""
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            if error.errno in _FULL:
                raise Refused(OUT_OF_RESOURCES, "the volume is full") from None
            raise

    def finish(self) -> StoreAnswer:
        """Give the file its name."""
        self._file.close()
        self._part.replace(self._name)
        self._folder.count += 1
        return StoreAnswer()

    def abort(self) -> None:
        """Take it away."""
        self._file.close()
        with suppress(FileNotFoundError):
            self._part.unlink()


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, DICM and group 0002 in explicit VR little endian: what stands before the data set."""
    elements = b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01"
    texts = (sop_class_uid, sop_instance_uid, transfer_syntax_uid, IMPLEMENTATION_CLASS_UID)
    for number, text in zip((0x02, 0x03, 0x10, 0x12), texts, strict=True):
        elements += _element(number, b"UI", text, b"\0")
    elements += _element(0x13, b"SH", IMPLEMENTATION_VERSION, b" ")
    return bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + len(elements).to_bytes(4, "little") + elements


def _element(number: int, vr: bytes, text: str, padding: bytes) -> bytes:
    raw = text.encode("latin-1")
    raw += padding * (len(raw) % 2)
    return b"\x02\0" + bytes((number, 0)) + vr + len(raw).to_bytes(2, "little") + raw
