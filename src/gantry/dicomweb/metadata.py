"""Metadata as DICOM JSON (PS3.18 10.4.1.1.2): of an instance, a series, a study. Kept while no instance changes.

Headers are read by our own reader, without pixels. What is kept is compressed, and named by the versions it was made of:
a new version, another instance, a deletion make another name, and nothing need be thrown away in time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from django.http import HttpRequest, HttpResponse

from gantry.dataset.attributes import open_attributes
from gantry.dataset.json_model import to_json
from gantry.dicomweb.errors import TooMuchAtOnce
from gantry.dicomweb.find import MAX_INSTANCES, Place
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


def answer(request: HttpRequest, places: Sequence[Place]) -> HttpResponse:
    """The metadata of these instances, in their order. Raises TooMuchAtOnce."""
    if len(places) > MAX_INSTANCES:
        raise TooMuchAtOnce(f"More than {MAX_INSTANCES} instances.", remedy="Ask for one series, or one instance, at once.")
    base = request.build_absolute_uri("/dicomweb")
    name = _name(base, places)
    etag = f'"{name[:24]}"'
    if (same := unchanged(request, etag)) is not None:
        return same
    packed = _kept.get(name)
    if packed is None:
        with _reading[int(name[:4], 16) % len(_reading)]:
            packed = _kept.get(name)
            if packed is None:
                packed = gzip.compress(_written(places, base), compresslevel=1, mtime=0)
                _kept.put(name, packed)
    takes_packed = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(packed if takes_packed else gzip.decompress(packed), content_type=MEDIA)
    if takes_packed:
        response["Content-Encoding"] = "gzip"
    kept(response, etag)
    return response


def _name(base: str, places: Sequence[Place]) -> str:
    mark = hashlib.sha256(base.encode())
    for place in places:
        mark.update(b"%d %d;" % (place.version_id, place.identified))
    return mark.hexdigest()


def _written(places: Sequence[Place], base: str) -> bytes:
    parts, total = [], 0
    for place in places:
        part = json.dumps(_of_instance(place, base), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        total += len(part)
        if total > MAX_ANSWER:
            raise TooMuchAtOnce("The metadata have more than 256 MB.", remedy="Ask for one instance at once.")
        parts.append(part)
    return ("[" + ",".join(parts) + "]").encode("utf-8", "replace")


def _of_instance(place: Place, base: str) -> dict[str, Any]:
    """Of one; from the index where its file is away or too damaged to say who it is."""
    bulk = (
        f"{base}/studies/{place.study_instance_uid}/series/{place.series_instance_uid}"
        f"/instances/{place.sop_instance_uid}/bulkdata"
    )  # fmt: skip
    found: dict[str, Any] = {}
    with (
        suppress(OSError, storage_errors.StorageError),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        found = to_json(attributes, bulk, shown_only=not place.identified)
    identity = (
        ("00080016", place.sop_class_uid), ("00080018", place.sop_instance_uid),
        ("0020000D", place.study_instance_uid), ("0020000E", place.series_instance_uid),
    )  # fmt: skip
    for tag, value in identity:
        if not found.get(tag, {}).get("Value"):
            found[tag] = {"vr": "UI", "Value": [value]}
    # As the instance level of a query says it (PS3.18 10.6.3.3.3): a viewer must know what it will get.
    found["00083002"] = {"vr": "UI", "Value": [place.transfer_syntax_uid]}
    return dict(sorted(found.items()))
