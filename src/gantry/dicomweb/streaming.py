"""Bodies of answers: pieces of a file as fast as they are taken, ranges of them, and what a browser may keep."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

#: Up to here an answer is read at once, bytes.
SMALL = 2 << 20
_STEP = 1 << 20
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
Piece = tuple[int, int]


class Pieces:
    """Pieces of one open file, in order: (offset, length) each. Closed by the answer, however it ends."""

    def __init__(self, path: str, pieces: Sequence[Piece]) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._pieces = pieces

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def chunks(self, pieces: Sequence[Piece] | None = None) -> Iterator[bytes]:
        """The bytes, or those of other pieces of the same file; ends early where the file does."""
        for offset, length in self._pieces if pieces is None else pieces:
            position, end = offset, offset + length
            while position < end:
                chunk = os.pread(self._descriptor, min(_STEP, end - position), position)
                if not chunk:
                    return
                position += len(chunk)
                yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in in_threads(self.chunks()):
            yield chunk


async def in_threads(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What an iterator gives, each step in a thread: the event loop never waits for a disk."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def pieces_response(path: str, pieces: Sequence[Piece], media: str) -> HttpResponseBase:
    """All pieces as one body. Raises OSError."""
    body = Pieces(path, pieces)
    size = sum(length for _, length in pieces)
    answer: HttpResponseBase
    if size <= SMALL:
        try:
            content = b"".join(body.chunks())
        finally:
            body.close()
        answer = HttpResponse(content, content_type=media)
        size = len(content)
    else:
        answer = StreamingHttpResponse(body, content_type=media)
    answer["Content-Length"] = str(size)
    return answer


def ranged_response(request: HttpRequest, path: str, pieces: Sequence[Piece], media: str) -> HttpResponseBase:
    """The same, or the one range that the request asks for (RFC 9110 14.2). Raises OSError."""
    total = sum(length for _, length in pieces)
    asked = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if asked is None or not (asked[1] or asked[2]):
        answer = pieces_response(path, pieces, media)
        answer["Accept-Ranges"] = "bytes"
        return answer
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2] or total - 1), total - 1)
    else:
        first, last = max(0, total - int(asked[2])), total - 1
    if first > last:
        refusal = HttpResponse(status=416)
        refusal["Content-Range"] = f"bytes */{total}"
        return refusal
    answer = pieces_response(path, cut(pieces, first, last), media)
    answer.status_code = 206
    answer["Content-Range"] = f"bytes {first}-{last}/{total}"
    answer["Accept-Ranges"] = "bytes"
    return answer


def cut(pieces: Sequence[Piece], first: int, last: int) -> list[Piece]:
    """The pieces of the bytes `first` to `last`, counted from the beginning of all."""
    found: list[Piece] = []
    begin = 0
    for offset, length in pieces:
        low, high = max(first, begin), min(last + 1, begin + length)
        if low < high:
            found.append((offset + low - begin, high - low))
        begin += length
    return found


def etag_of(*parts: object) -> str:
    """A mark of what an answer was made of."""
    return '"' + hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:24] + '"'


def unchanged(request: HttpRequest, etag: str) -> HttpResponse | None:
    """304 when the browser has it already."""
    given = request.headers.get("If-None-Match", "")
    if etag not in {one.strip().removeprefix("W/") for one in given.split(",")}:
        return None
    answer = HttpResponse(status=304)
    kept(answer, etag)
    return answer


def kept(answer: Any, etag: str) -> Any:
    """The browser may keep it for its user, and asks again each time: rights may have ended."""
    answer["ETag"] = etag
    answer["Cache-Control"] = "private, no-cache"
    answer["Vary"] = "Accept, Accept-Encoding, Authorization, Cookie"
    return answer
