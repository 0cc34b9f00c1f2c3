"""Rendered frames and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.3.5.1)."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace
from threading import Lock

from django.http import HttpRequest, HttpResponse

from gantry.dataset.attributes import open_attributes
from gantry.dataset.render import View, embedded_overlay, render
from gantry.dicomweb.errors import BadParameter, NothingToShow, refusing
from gantry.dicomweb.find import Place, only_identified
from gantry.dicomweb.layouts import read_layout
from gantry.dicomweb.negotiation import pick
from gantry.dicomweb.streaming import etag_of, kept, unchanged

MEDIA = ("image/jpeg", "image/png")
THUMBNAIL = (160, 160)
MOST_OF_THUMBNAIL = (512, 512)
MAX_SIDE = 8192
#: Thumbnails kept in this process, bytes.
_MAX_KEPT = 32 << 20
_FUNCTIONS = frozenset({"linear", "linear-exact", "sigmoid"})


class _Kept:
    """Thumbnails by version, frame and form."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pictures: OrderedDict[tuple[int, int, View], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, int, View]) -> bytes | None:
        with self._lock:
            if (picture := self._pictures.get(key)) is not None:
                self._pictures.move_to_end(key)
            return picture

    def put(self, key: tuple[int, int, View], picture: bytes) -> None:
        with self._lock:
            self._bytes += len(picture) - len(self._pictures.pop(key, b""))
            self._pictures[key] = picture
            while self._bytes > _MAX_KEPT:
                self._bytes -= len(self._pictures.popitem(last=False)[1])


_kept = _Kept()


def rendered(request: HttpRequest, place: Place, frame: int) -> HttpResponse:
    """One frame as a picture. Raises RequestRefused."""
    media = pick(request, MEDIA)
    # Overlay planes may hold text, and so a name.
    view = replace(view_of(request), media="image/png" if media == "image/png" else "image/jpeg", overlays=place.identified)
    return _answer(request, place, frame, view, keep=False)


def thumbnail(request: HttpRequest, place: Place, frame: int | None = None) -> HttpResponse:
    """A small picture, a JPEG; without `frame` of the middle one. Raises RequestRefused."""
    pick(request, MEDIA[:1])
    size = view_of(request).size or THUMBNAIL
    view = View(size=(min(size[0], MOST_OF_THUMBNAIL[0]), min(size[1], MOST_OF_THUMBNAIL[1])), quality=80, enlarge=False)
    return _answer(request, place, frame, view, keep=True)


def first_image(request: HttpRequest, place: Place) -> HttpResponse:
    """The first frame of an instance as large as a thumbnail may be; `Content-Location` says of which it is.

    A viewer shows it until its own renderer has the image. Raises RequestRefused.
    """
    pick(request, MEDIA[:1])
    answer = _answer(request, place, 1, View(size=MOST_OF_THUMBNAIL, quality=80, enlarge=False), keep=True)
    answer["Content-Location"] = (
        f"/dicomweb/studies/{place.study_instance_uid}/series/{place.series_instance_uid}"
        f"/instances/{place.sop_instance_uid}/frames/1"
    )  # fmt: skip
    return answer


def overlay(request: HttpRequest, place: Place, frame: int, group: int) -> HttpResponse:
    """The overlay plane that stands in a bit beside the samples of a frame, packed. Raises RequestRefused."""
    only_identified(place)
    etag = etag_of("overlay", place.version_id, frame, group)
    if (same := unchanged(request, etag)) is not None:
        return same
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        known = read_layout(place, attributes)
        if (bit := known.overlays.get(group)) is None:
            raise NothingToShow("There is no such overlay in its pixels.")
        packed = embedded_overlay(attributes, known.layout, frame, bit)
    return kept(HttpResponse(packed, content_type="application/octet-stream"), etag)  # type: ignore[no-any-return]


def _answer(request: HttpRequest, place: Place, frame: int | None, view: View, *, keep: bool) -> HttpResponse:
    etag = etag_of("picture", place.version_id, frame, view, place.identified)
    if (same := unchanged(request, etag)) is not None:
        return same
    key = (place.version_id, frame or 0, view)
    # Kept ones may name the patient; those who may not know have them made anew, and refused where they must be.
    picture = _kept.get(key) if keep and place.identified else None
    if picture is None:
        picture = _painted(place, frame, view)
        if keep:
            _kept.put(key, picture)
    return kept(HttpResponse(picture, content_type=view.media), etag)  # type: ignore[no-any-return]


def _painted(place: Place, frame: int | None, view: View) -> bytes:
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        layout = read_layout(place, attributes).layout
        return render(attributes, layout, frame or (layout.number_of_frames + 1) // 2, view)


def view_of(request: HttpRequest) -> View:
    """`window`, `viewport` and `quality` of the address (PS3.18 8.3.5.1). Raises BadParameter."""
    view = View()
    if window := request.GET.get("window"):
        parts = window.split(",")
        function = (parts[2] if len(parts) == 3 else "linear").strip().lower()
        numbers = _numbers(parts[:2])
        if len(parts) not in {2, 3} or len(numbers) != 2 or function not in _FUNCTIONS or numbers[1] <= 0:
            raise BadParameter("`window` is centre,width,function: two numbers, and linear, linear-exact or sigmoid.")
        view = replace(view, window=(numbers[0], numbers[1], function))
    if viewport := request.GET.get("viewport"):
        parts = viewport.split(",")
        numbers = _numbers([part or "0" for part in parts])
        if len(parts) not in {2, 4, 6} or len(numbers) != len(parts) or not all(1 <= side <= MAX_SIDE for side in numbers[:2]):
            raise BadParameter(f"`viewport` is width,height and perhaps x,y,width,height of the frame; {MAX_SIDE} at most.")
        view = replace(view, size=(int(numbers[0]), int(numbers[1])))
        if len(numbers) > 2:
            x, y, width, height = [*numbers[2:], 0.0, 0.0][:4]
            view = replace(view, region=(abs(x), abs(y), abs(width), abs(height)))
    if quality := request.GET.get("quality"):
        if not quality.isascii() or not quality.isdigit() or not 1 <= int(quality[:4]) <= 100:
            raise BadParameter("`quality` is a number from 1 to 100.")
        view = replace(view, quality=int(quality))
    return view


def _numbers(parts: list[str]) -> list[float]:
    found = []
    for part in parts:
        try:
            number = float(part) if len(part) < 32 else math.nan
        except ValueError:
            return []
        if not math.isfinite(number) or abs(number) > 1e9:
            return []
        found.append(number)
    return found
