"""Opens the beginning of a deflated data set (PS3.5 A.5, RFC 1951), never more than needed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gantry.dataset.encodings import Buffer

FIRST_STEP = 64 << 10
MAX_INFLATED_BYTES = 4 << 20
_RAW_DEFLATE = -15
_WITH_ZLIB_HEADER = 15


def inflated_steps(head: Buffer, warnings: list[str], *, whole: bool) -> Iterator[tuple[bytes, bool]]:
    """Ever longer beginnings of the inflated data set, each with whether it is the whole of it.

    At least one is given. The last one is when the stream or `head` ends, is damaged, or
    MAX_INFLATED_BYTES are reached. `whole` says that `head` is the entire stream.
    """
    opener, opened = _open(head)
    if opener is None:
        warnings.append("the data set is not deflated, though the transfer syntax says so")
        yield bytes(head[:MAX_INFLATED_BYTES]), whole and len(head) <= MAX_INFLATED_BYTES
        return
    limit = FIRST_STEP
    while True:
        if opener.eof:
            yield bytes(opened), True
            return
        if not opener.unconsumed_tail or len(opened) >= MAX_INFLATED_BYTES:
            # `whole` and no more input: the stream was cut, what is there is all there will ever be
            yield bytes(opened), whole and not opener.unconsumed_tail
            return
        yield bytes(opened), False
        limit = min(limit * 4, MAX_INFLATED_BYTES)
        try:
            opened += opener.decompress(opener.unconsumed_tail, limit - len(opened))
        except zlib.error:
            warnings.append("the deflate stream is damaged")
            yield bytes(opened), whole
            return


def _open(head: Buffer) -> tuple[zlib._Decompress | None, bytearray]:
    """The first step: raw deflate as the standard says, or with the zlib header some writers add."""
    for bits in (_RAW_DEFLATE, _WITH_ZLIB_HEADER):
        opener = zlib.decompressobj(bits)
        try:
            return opener, bytearray(opener.decompress(head, FIRST_STEP))
        except zlib.error:
            continue
    return None, bytearray()
