"""Opens the beginning of a deflated data set (PS3.5 A.5, RFC 1951), never more than needed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gantry.dataset.encodings import Buffer

FIRST_STEP = 64 << 10
MAX_INFLATED_BYTES = 4 << 20
_INPUT_PIECE = 1024
_RAW_DEFLATE = -15
_WITH_ZLIB_HEADER = 15


class _Inflater:
    """One try to inflate, in small pieces, so that damage costs only what follows it."""

    __slots__ = ("_opener", "damaged", "ended")

    def __init__(self, bits: int) -> None:
        self._opener = zlib.decompressobj(bits)
        self.damaged = False
        self.ended = False

    def chunks(self, head: Buffer) -> Iterator[bytes]:
        try:
            for start in range(0, len(head), _INPUT_PIECE):
                piece = bytes(head[start : start + _INPUT_PIECE])
                while piece:
                    yield self._opener.decompress(piece, FIRST_STEP)
                    piece = self._opener.unconsumed_tail
                if self._opener.eof:
                    self.ended = True
                    return
            while rest := self._opener.decompress(b"", FIRST_STEP):
                yield rest
        except zlib.error:
            self.damaged = True


def inflated_steps(head: Buffer, warnings: list[str], *, whole: bool) -> Iterator[tuple[bytes, bool]]:
    """Ever longer beginnings of the inflated data set, each with whether it is the whole of it.

    At least one is given; the last one when the stream or `head` ends, the stream is damaged, or
    MAX_INFLATED_BYTES are reached. `whole` says that `head` is the entire stream.
    """
    for bits in (_RAW_DEFLATE, _WITH_ZLIB_HEADER):  # some writers add the header of RFC 1950
        inflater = _Inflater(bits)
        opened = bytearray()
        threshold = FIRST_STEP
        for chunk in inflater.chunks(head):
            opened += chunk
            if len(opened) >= threshold:
                yield bytes(opened[:MAX_INFLATED_BYTES]), False
                threshold *= 4
            if len(opened) >= MAX_INFLATED_BYTES:
                warnings.append(f"only the first {MAX_INFLATED_BYTES} bytes of the data set were inflated")
                yield bytes(opened[:MAX_INFLATED_BYTES]), False
                return
        if inflater.damaged and not opened:
            continue
        if inflater.damaged:
            warnings.append("the deflate stream is damaged")
        yield bytes(opened), whole or inflater.ended
        return
    warnings.append("the data set is not deflated, though the transfer syntax says so")
    yield bytes(head[:MAX_INFLATED_BYTES]), whole and len(head) <= MAX_INFLATED_BYTES
