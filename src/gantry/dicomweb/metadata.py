"""Metadata as DICOM JSON (PS3.18 10.4.1.1.2): of an instance, a series, a study. Kept while no instance changes.

Headers are read by our own reader, without pixels. What is kept is compressed, and named by the versions it was made of:
a new version, another instance, a deletion make another name, and nothing need be thrown away in time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from django.http import HttpRequest, HttpResponse

from gantry.dataset.attributes import open_dataset
from gantry.dataset.json_series import SeriesWriter, Texts
from gantry.dicomweb.errors import TooMuchAtOnce
from gantry.dicomweb.find import MAX_INSTANCES, Place, find_series, mark_series
from gantry.dicomweb.streaming import kept, unchanged
from gantry.storage import errors as storage_errors

#: Kept in this process, bytes, compressed: some hundred series.
MAX_KEPT = 64 << 20
#: One answer, bytes, before it is compressed.
MAX_ANSWER = 256 << 20
MEDIA = "application/dicom+json"


class _Kept:
    """Compressed answers by name, the longest unused go first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, name: str) -> bytes | None:
        """The answer, if it is there."""
        with self._lock:
            if (answer := self._answers.get(name)) is not None:
                self._answers.move_to_end(name)
            return answer

    def put(self, name: str, answer: bytes) -> None:
        """Keep it, unless it would push out most of the others."""
        if len(answer) > MAX_KEPT // 4:
            return
        with self._lock:
            self._bytes += len(answer) - len(self._answers.pop(name, b""))
            self._answers[name] = answer
            while self._bytes > MAX_KEPT:
                self._bytes -= len(self._answers.popitem(last=False)[1])


_kept = _Kept()
#: Several viewers that open the same new series wait for the one that reads it.
_reading = tuple(Lock() for _ in range(16))


def of_places(request: HttpRequest, places: Sequence[Place]) -> HttpResponse:
    """The metadata of these instances, in their order. Raises TooMuchAtOnce."""
    identified = all(place.identified for place in places)
    return _answer(request, [place.version_id for place in places], lambda: places, identified=identified)


def of_series(request: HttpRequest, series: str, *, study: str) -> HttpResponse:
    """The metadata of a series, in the order of its numbers. Raises NotFound, TooMuchAtOnce."""
    marked = mark_series(request, series, study=study)
    versions = marked.versions or []
    return _answer(request, versions, lambda: find_series(request, series, study=study), identified=marked.identified)


def _answer(
    request: HttpRequest, versions: Sequence[int], find: Callable[[], Sequence[Place]], *, identified: bool
) -> HttpResponse:
    """What is kept of these versions, or what is read of them anew."""
    if len(versions) > MAX_INSTANCES:
        raise TooMuchAtOnce(f"More than {MAX_INSTANCES} instances.", remedy="Ask for one series, or one instance, at once.")
    base = request.build_absolute_uri("/dicomweb")
    name = _name(base, versions, identified=identified)
    if (same := unchanged(request, _etag(name))) is not None:
        return same
    packed = _kept.get(name)
    if packed is None:
        with _reading[int(name[:4], 16) % len(_reading)]:
            packed = _kept.get(name)
            if packed is None:
                places = find()
                # Something may have changed since it was marked: what is kept has the name of what was read.
                identified = all(place.identified for place in places)
                name = _name(base, [place.version_id for place in places], identified=identified)
                packed = gzip.compress(_written(places, base, identified=identified), compresslevel=1, mtime=0)
                _kept.put(name, packed)
    takes_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(packed if takes_packed else gzip.decompress(packed), content_type=MEDIA)
    if takes_packed:
        response["Content-Encoding"] = "gzip"
    kept(response, _etag(name))
    return response


def _name(base: str, versions: Sequence[int], *, identified: bool) -> str:
    return hashlib.sha256(f"{base} {identified} ".encode() + array("q", versions).tobytes()).hexdigest()


def _etag(name: str) -> str:
    return f'"{name[:24]}"'


def _written(places: Sequence[Place], base: str, *, identified: bool) -> bytes:
    writer, parts, total = SeriesWriter(shown_only=not identified), [], 0
    for place in places:
        part = _of_instance(place, base, writer)
        total += len(part)
        if total > MAX_ANSWER:
            raise TooMuchAtOnce("The metadata have more than 256 MB.", remedy="Ask for one instance at once.")
        parts.append(part)
    return b"[" + b",".join(parts) + b"]"


def _of_instance(place: Place, base: str, writer: SeriesWriter) -> bytes:
    """Of one; from the index where its file is away or too damaged to say who it is."""
    bulk = (
        f"{base}/studies/{place.study_instance_uid}/series/{place.series_instance_uid}"
        f"/instances/{place.sop_instance_uid}/bulkdata"
    )  # fmt: skip
    found: Texts = {}
    with (
        suppress(OSError, storage_errors.StorageError),
        open_dataset(place.path, place.dataset_offset, place.dataset_bytes) as read,
    ):
        found = writer.write(read, place.dataset_bytes, place.transfer_syntax_uid, bulk)
    for tag, value in (
        (0x00080016, place.sop_class_uid), (0x00080018, place.sop_instance_uid),
        (0x0020000D, place.study_instance_uid), (0x0020000E, place.series_instance_uid),
    ):  # fmt: skip
        if '"Value":' not in found.get(tag, ""):  # in a value it would stand with escaped quotes
            found[tag] = _uid_text(tag, value)
    # As the instance level of a query says it (PS3.18 10.6.3.3.3): a viewer must know what it will get.
    found[0x00083002] = _uid_text(0x00083002, place.transfer_syntax_uid)
    return ("{" + ",".join([found[tag] for tag in sorted(found)]) + "}").encode("utf-8", "replace")


def _uid_text(tag: int, value: str) -> str:
    return f'"{tag:08X}":{{"vr":"UI","Value":[{json.dumps(value)}]}}'
