"""A study or series as one ZIP stream: the stored Part 10 files byte for byte, whatever their number and size.

Nothing is compressed and nothing is held: each file is read in steps while the browser takes them. Names tell the series
and the number, never a patient. The length is told before, so the browser shows how far it is; when a file cannot be read
the answer ends before that length, and no browser takes it for whole.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import AsyncIterator, Generator, Sequence

from django.http import StreamingHttpResponse

from gantry.dicomweb import zip_form
from gantry.dicomweb.find import Place
from gantry.dicomweb.streaming import in_threads

log = logging.getLogger("gantry.dicomweb")
_STEP = 1 << 20


def names_of(places: Sequence[Place]) -> list[str]:
    """The name of each file: `001-CT/00001.dcm`; by the order of series and instances, not by what senders wrote."""
    series: dict[str, tuple[int, int]] = {}
    found = []
    for place in places:
        number, count = series.get(place.series_instance_uid, (len(series) + 1, 0))
        series[place.series_instance_uid] = (number, count + 1)
        modality = "".join(letter for letter in place.modality.upper() if letter.isascii() and letter.isalnum())[:8] or "OT"
        found.append(f"{number:03d}-{modality}/{count + 1:05d}.dcm")
    return found


def entries_of(places: Sequence[Place]) -> list[zip_form.Entry]:
    """The files of the ZIP, in order."""
    sizes = [place.file_bytes for place in places]
    return [zip_form.Entry(name.encode("ascii"), size) for name, size in zip(names_of(places), sizes, strict=True)]


def stream(places: Sequence[Place], entries: Sequence[zip_form.Entry]) -> Generator[bytes, None, None]:
    """The ZIP, in steps. Raises OSError when a file cannot be read as the index has it: the download then breaks off."""
    written: list[zip_form.Written] = []
    position = 0
    for place, entry in zip(places, entries, strict=True):
        head, crc = zip_form.header(entry), 0
        yield head
        for chunk in _content(place):
            crc = zlib.crc32(chunk, crc)
            yield chunk
        tail = zip_form.descriptor(entry, crc)
        yield tail
        written.append(zip_form.Written(entry, crc, position))
        position += len(head) + entry.size + len(tail)
    directory = b"".join(map(zip_form.directory_entry, written))
    yield directory + zip_form.end(len(written), position, len(directory))


def _content(place: Place) -> Generator[bytes, None, None]:
    """The bytes of a stored file: as many as the index says. Raises OSError."""
    descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_size != place.file_bytes:
            raise OSError("a stored file has another size than the index says")
        left = place.file_bytes
        while left:
            chunk = os.read(descriptor, min(_STEP, left))
            if not chunk:
                raise OSError("a stored file became shorter while it was read")
            left -= len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


class Body:
    """The stream for the answer."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks

    def close(self) -> None:
        """However the answer ends."""
        self._chunks.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in in_threads(self._chunks):
                yield chunk
        except OSError as error:
            log.error("an archive broke off: %s", type(error).__name__)
            raise


def answer(places: Sequence[Place], name: str) -> StreamingHttpResponse:
    """The ZIP as a download; `name` without PHI."""
    entries = entries_of(places)
    response = StreamingHttpResponse(Body(stream(places, entries)), content_type="application/zip")
    response["Content-Length"] = str(zip_form.length(entries))
    response["Content-Disposition"] = f'attachment; filename="{name}-{time.strftime("%Y%m%d")}.zip"'
    return response
