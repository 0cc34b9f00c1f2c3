"""A study or series as one ZIP stream: the stored Part 10 files byte for byte, whatever their number and size.

Nothing is compressed and nothing is held: each file is read in steps while the browser takes them. Names tell the series
and the number, never a patient. The end of the ZIP is missing when a file could not be read: a broken download must not
look like a whole one.
"""

from __future__ import annotations

import io
import logging
import os
import time
import zipfile
from collections.abc import AsyncIterator, Generator, Sequence
from typing import IO, Any, cast

from django.http import StreamingHttpResponse

from gantry.dicomweb.find import Place
from gantry.dicomweb.streaming import in_threads

log = logging.getLogger("gantry.dicomweb")
_STEP = 1 << 20
#: The earliest time that a ZIP knows: when bytes were received is in the index, and not of the name's concern.
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Pipe(io.RawIOBase):
    """Takes what the ZIP writes and hands it on; it cannot seek."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def write(self, data: Any) -> int:
        """Keep it until it is taken."""
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """How much was written."""
        return self._position

    def taken(self) -> bytes:
        """What has come since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


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


def stream(places: Sequence[Place]) -> Generator[bytes, None, None]:
    """The ZIP, in steps. Raises OSError when a file cannot be read: the download then breaks off."""
    pipe = _Pipe()
    with zipfile.ZipFile(cast("IO[bytes]", pipe), "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for place, name in zip(places, names_of(places), strict=True):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o600 << 16
            descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                size = os.fstat(descriptor).st_size
                if size != place.file_bytes:
                    raise OSError("a stored file has another size than the index says")
                with archive.open(entry, "w", force_zip64=True) as target:
                    while chunk := os.read(descriptor, _STEP):
                        target.write(chunk)
                        yield pipe.taken()
            finally:
                os.close(descriptor)
    yield pipe.taken()


class Body:
    """The stream for the answer."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._chunks = stream(places)

    def close(self) -> None:
        """However the answer ends."""
        self._chunks.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in in_threads(self._chunks):
                if chunk:
                    yield chunk
        except OSError as error:
            log.error("an archive broke off: %s", type(error).__name__)
            raise


def answer(places: Sequence[Place], name: str) -> StreamingHttpResponse:
    """The ZIP as a download; `name` without PHI."""
    response = StreamingHttpResponse(Body(places), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{name}-{time.strftime("%Y%m%d")}.zip"'
    return response
