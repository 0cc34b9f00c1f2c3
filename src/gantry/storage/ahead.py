"""Writes that run while their caller goes on: Linux native asynchronous I/O on a page-aligned buffer.

An object is written block by block while its next bytes arrive and are hashed; no second thread is woken for it.
The kernel does this only for O_DIRECT and below the end of the file. Where it is missing, or says no, the caller
writes the same blocks itself: nothing depends on it but time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from dataclasses import dataclass
from typing import Final

#: io_setup, io_destroy, io_submit, io_getevents: the C library has no functions for them.
_NUMBERS: Final = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}
_IOCB_CMD_PWRITE: Final = 1
#: Writes in flight on one buffer.
DEPTH: Final = 8


class _Iocb(ctypes.Structure):
    """struct iocb of linux/aio_abi.h, little endian."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_int32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("descriptor", ctypes.c_uint32),
        ("address", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("event_descriptor", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    _fields_ = (("data", ctypes.c_uint64), ("iocb", ctypes.c_uint64), ("result", ctypes.c_int64), ("result2", ctypes.c_int64))


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `end` of a buffer, which belong at `offset` of the file."""

    start: int
    end: int
    offset: int


class Ahead:
    """The writes in flight of one buffer. One thread at a time."""

    __slots__ = ("_address", "_context", "_events", "_iocbs", "_pieces", "_pointers", "_refused")

    def __init__(self, memory: memoryview) -> None:
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._context = _new_context()
        self._refused = self._context is None
        self._iocbs = (_Iocb * DEPTH)()
        size = ctypes.sizeof(_Iocb)
        first = ctypes.addressof(self._iocbs)
        self._pointers = [(ctypes.c_void_p * 1)(first + number * size) for number in range(DEPTH)]
        self._events = (_Event * DEPTH)()
        self._pieces: list[Piece] = []

    def start(self, descriptor: int, piece: Piece) -> bool:
        """Begin to write an aligned piece; False when the caller has to write it. The bytes must stay until `finish`."""
        number = len(self._pieces)
        if self._refused or number == DEPTH:
            return False
        iocb = self._iocbs[number]
        iocb.data = number
        iocb.opcode = _IOCB_CMD_PWRITE
        iocb.descriptor = descriptor
        iocb.address = self._address + piece.start
        iocb.length = piece.end - piece.start
        iocb.offset = piece.offset
        if _call(_SUBMIT, self._context, 1, self._pointers[number]) != 1:
            # EAGAIN passes; what else the kernel says (EINVAL, ENOSYS, EPERM) it will say again.
            self._refused = ctypes.get_errno() not in {errno.EAGAIN, errno.EINTR}
            return False
        self._pieces.append(piece)
        return True

    def finish(self) -> list[Piece]:
        """Wait for all; gives the pieces that were not written whole, for the caller to write and to hear why."""
        pieces = self._pieces
        if not pieces:
            return []
        failed: list[Piece] = []
        left = len(pieces)
        while left:
            count = _call(_GETEVENTS, self._context, left, left, self._events, None)
            if count < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            left -= count
            for event in self._events[:count]:
                piece = pieces[event.data]
                if event.result != piece.end - piece.start:
                    failed.append(piece)
        self._pieces = []
        return failed

    def __del__(self) -> None:
        if self._context is not None:
            _call(_DESTROY, self._context)


def _known_system() -> bool:
    return sys.platform == "linux" and sys.byteorder == "little" and sys.maxsize > 2**32


_SETUP, _DESTROY, _SUBMIT, _GETEVENTS = _NUMBERS.get(platform.machine(), (0, 0, 0, 0)) if _known_system() else (0, 0, 0, 0)
_AVAILABLE = _SUBMIT > 0
_call = ctypes.CDLL(None, use_errno=True).syscall
_call.restype = ctypes.c_long


def _new_context() -> ctypes.c_ulong | None:
    """A kernel queue for one buffer; None where there are none, or no more (fs.aio-max-nr)."""
    if not _AVAILABLE:
        return None
    context = ctypes.c_ulong(0)
    if _call(_SETUP, DEPTH, ctypes.byref(context)) != 0:
        return None
    return context
