"""Gives a stored data set in another transfer syntax, when the other side takes no other (PS3.5 annex A).

Without compression on both sides this is our own code: only heads and small elements are made, pixels are views of
the file. Compressed pixels are decoded in a process of their own, with limits, and only where the extra `pixels` is
installed. Nothing is ever compressed with loss, and nothing that is stored changes.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from gantry.dataset.encodings import (
    DEFLATED_UID,
    EXPLICIT_BIG_ENDIAN_UID,
    EXPLICIT_LITTLE,
    EXPLICIT_LITTLE_ENDIAN_UID,
    IMPLICIT_LITTLE_ENDIAN_UID,
    declared_encoding,
    looks_right,
)
from gantry.dataset.transcode_elements import rewritten
from gantry.dataset.transcode_errors import (
    CannotDecode,
    CannotTranscode,
    DamagedDataSet,
    DecodersMissing,
    TooMuch,
)
from gantry.dataset.transcode_pieces import Scratch, unmap
from gantry.dataset.transcode_pixels import COMPRESSED, decoded

__all__ = [
    "CannotDecode", "CannotTranscode", "DamagedDataSet", "DecodersMissing", "How", "TooMuch", "possible", "transcoded",
    "transcoded_view",
]  # fmt: skip

How: TypeAlias = Literal["never", "uncompressed", "any"]
#: What can be given, the best first: no VR is lost in the explicit ones.
_TARGETS = (EXPLICIT_LITTLE_ENDIAN_UID, IMPLICIT_LITTLE_ENDIAN_UID, DEFLATED_UID)
_UNCOMPRESSED = frozenset({*_TARGETS, EXPLICIT_BIG_ENDIAN_UID})
#: Most bytes that a deflated data set may open to.
MAX_INFLATED = 4 << 30
_STEP = 1 << 20
_RAW_DEFLATE = -15


def possible(source_syntax: str, accepted_syntaxes: Collection[str], how: How = "uncompressed") -> str | None:
    """The transfer syntax in which a data set could be given; None when in none. The source's own if that is accepted.

    `how` is the setting `transcode`: never, uncompressed (between syntaxes without compression), or any.
    """
    if source_syntax in accepted_syntaxes:
        return source_syntax
    if how == "never" or not (source_syntax in _UNCOMPRESSED or (how == "any" and source_syntax in COMPRESSED)):
        return None
    return next((syntax for syntax in _TARGETS if syntax in accepted_syntaxes), None)


@contextmanager
def transcoded(
    path: str | os.PathLike[str],
    offset: int,
    length: int,
    source_syntax: str,
    accepted_syntaxes: Collection[str],
    *,
    how: How = "uncompressed",
    scratch: str | None = None,
) -> Iterator[tuple[str, list[memoryview]] | None]:
    """The data set of `length` bytes at `offset` of a file, in one of the accepted syntaxes: (syntax, views in order).

    None when no accepted syntax can be reached from `source_syntax`; the bytes as they are when it is accepted itself.
    The views are valid inside the `with`. `scratch` is a folder for large unlinked files (None: where the system has
    temporary ones). Raises CannotTranscode (its classes say why), OSError.
    """
    if possible(source_syntax, accepted_syntaxes, how) is None:
        yield None
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        have = os.fstat(descriptor).st_size - offset
        if have < length or offset < 0:
            raise DamagedDataSet(f"the stored file is too short: {max(have, 0)} of {length} bytes")
        begin = offset - offset % mmap.ALLOCATIONGRANULARITY
        mapping = (
            mmap.mmap(descriptor, offset - begin + length, mmap.MAP_SHARED, mmap.PROT_READ, offset=begin) if length else None
        )
    finally:
        os.close(descriptor)
    try:
        with memoryview(mapping if mapping is not None else b"") as whole, whole[offset - begin if length else 0 :] as view:
            opening = transcoded_view(view, source_syntax, accepted_syntaxes, how=how, scratch=scratch)
            with opening as given:
                yield given
    finally:
        if mapping is not None:
            unmap(mapping)


@contextmanager
def transcoded_view(
    data: memoryview,
    source_syntax: str,
    accepted_syntaxes: Collection[str],
    *,
    how: How = "uncompressed",
    scratch: str | None = None,
) -> Iterator[tuple[str, list[memoryview]] | None]:
    """`transcoded` for a data set that is at hand, mapped or in memory."""
    target = possible(source_syntax, accepted_syntaxes, how)
    if target is None:
        yield None
        return
    views: list[memoryview] = []
    with Scratch(scratch) as files:
        try:
            views = [data] if target == source_syntax else _in(target, data, source_syntax, files)
            yield target, views
        finally:
            for view in views:
                if view is not data:
                    view.release()


def _in(target: str, data: memoryview, source_syntax: str, scratch: Scratch) -> list[memoryview]:
    """The views of the data set in `target`, one of _TARGETS."""
    if source_syntax in COMPRESSED:
        views = decoded(data, source_syntax, scratch)
        if target == EXPLICIT_LITTLE_ENDIAN_UID:
            return views
        data, source_syntax = _joined(views, scratch), EXPLICIT_LITTLE_ENDIAN_UID
    elif source_syntax == DEFLATED_UID:
        data, source_syntax = _inflated(data, scratch), EXPLICIT_LITTLE_ENDIAN_UID
    source = declared_encoding(source_syntax)
    if not looks_right(data, source):
        raise DamagedDataSet(f"the data set is not in {source.name}, as its transfer syntax says")
    implicit = target == IMPLICIT_LITTLE_ENDIAN_UID
    views = [data] if source is EXPLICIT_LITTLE and not implicit else rewritten(data, source, implicit=implicit, scratch=scratch)
    return [_deflated(views, scratch)] if target == DEFLATED_UID else views


def _joined(views: list[memoryview], scratch: Scratch) -> memoryview:
    return scratch.kept(
        (bytes(view[at : at + _STEP]) for view in views for at in range(0, len(view), _STEP)), sum(map(len, views))
    )


def _inflated(data: memoryview, scratch: Scratch) -> memoryview:
    """PS3.5 A.5. What it comes to is bounded, and lies in a file when it may be large."""

    def chunks() -> Iterator[bytes]:
        # Some writers add the header of RFC 1950.
        bits = zlib.MAX_WBITS if bytes(data[:1]) == b"\x78" and int.from_bytes(data[:2], "big") % 31 == 0 else _RAW_DEFLATE
        opener, total = zlib.decompressobj(bits), 0
        for start in range(0, len(data), _STEP):
            piece = bytes(data[start : start + _STEP])
            while piece and not opener.eof:
                opened = opener.decompress(piece, _STEP)
                total += len(opened)
                if total > MAX_INFLATED:
                    raise TooMuch(f"the data set inflates to more than {MAX_INFLATED >> 30} GB")
                piece = opener.unconsumed_tail
                yield opened
        while not opener.eof and (opened := opener.decompress(b"", _STEP)):
            total += len(opened)
            if total > MAX_INFLATED:
                raise TooMuch(f"the data set inflates to more than {MAX_INFLATED >> 30} GB")
            yield opened
        if not opener.eof:
            raise DamagedDataSet("the deflate stream ends too early")

    try:
        return scratch.kept(chunks(), 1 << 40)  # how much it will be cannot be known: into a file
    except zlib.error as error:
        raise DamagedDataSet("the deflate stream is damaged") from error


def _deflated(views: list[memoryview], scratch: Scratch) -> memoryview:
    """PS3.5 A.5: a raw deflate stream, padded to even length."""

    def chunks() -> Iterator[bytes]:
        packer, total = zlib.compressobj(wbits=_RAW_DEFLATE), 0
        for view in views:
            for start in range(0, len(view), _STEP):
                packed = packer.compress(view[start : start + _STEP])
                total += len(packed)
                yield packed
        packed = packer.flush()
        yield packed + b"\0" * ((total + len(packed)) & 1)

    return scratch.kept(chunks(), sum(map(len, views)))
