"""What is no picture: encapsulated documents, videos, reports, and large values by themselves."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.html import escape

from gantry.dataset.attributes import Attributes, Element, open_attributes
from gantry.dataset.attributes_report import Content, Report, report_of
from gantry.dataset.attributes_values import Values
from gantry.dataset.frames import VIDEO
from gantry.dicomweb.errors import NothingToShow, refusing
from gantry.dicomweb.find import Place, only_identified
from gantry.dicomweb.layouts import known_of
from gantry.dicomweb.negotiation import OCTETS, pick
from gantry.dicomweb.streaming import etag_of, kept, ranged_response, unchanged

_DOCUMENT, _MEDIA_TYPE = 0x00420011, 0x00420012
_DOCUMENT_CLASSES = "1.2.840.10008.5.1.4.1.1.104."
_REPORT_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
_PATH = re.compile(r"[0-9A-Fa-f]{8}(?:/[0-9]{1,5}/[0-9A-Fa-f]{8}){0,16}")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
#: A value of a deflated file is opened in memory, bytes.
_MAX_OPENED = 256 << 20
#: What may be shown under our own address; all else is sent as bytes, never as a page.
_SHOWN_TYPES = frozenset({"application/pdf", "model/stl", "application/sla", "model/obj"})


def is_document(place: Place) -> bool:
    """Of an encapsulated document."""
    return place.sop_class_uid.startswith(_DOCUMENT_CLASSES)


def is_report(place: Place) -> bool:
    """Of a structured report or key object selection."""
    return place.sop_class_uid.startswith(_REPORT_CLASSES)


def is_video(place: Place) -> bool:
    """Of a video."""
    return place.transfer_syntax_uid in VIDEO


def document(request: HttpRequest, place: Place) -> HttpResponseBase:
    """The encapsulated document (PS3.3 C.24.2). Raises RequestRefused."""
    only_identified(place)
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        element = attributes.get(_DOCUMENT)
        if element is None or element.undefined:
            raise NothingToShow("It holds no document.")
        values = Values(attributes)
        media = values.text(_MEDIA_TYPE).lower()
        begin = attributes.bytes_of(element, 5)
        media = "application/pdf" if begin == b"%PDF-" else media if media in _SHOWN_TYPES - {"application/pdf"} else OCTETS
        length = min(element.length, values.number(0x00420015, element.length) or element.length)
        pick(request, (media, OCTETS))
        response = _value(request, place, attributes, [(element.value, length)], media)
    name = "document.pdf" if media == "application/pdf" else "document"
    response["Content-Disposition"] = f'{"inline" if media == "application/pdf" else "attachment"}; filename="{name}"'
    return response


def video(request: HttpRequest, place: Place) -> HttpResponseBase:
    """The bytes of a video as they are, in ranges where the player asks so. Raises RequestRefused."""
    known = known_of(place)
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        pieces = known.layout.stream()
        head = attributes.read(pieces[0][0], 12)
        return _value(request, place, attributes, pieces, _video_type(head, place.transfer_syntax_uid))


def _video_type(head: bytes, transfer_syntax_uid: str) -> str:
    """By what it begins with: MP4, a transport stream, else what its transfer syntax says."""
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head[:1] == b"\x47":
        return "video/mp2t"
    if head[:3] == b"\0\0\1" and transfer_syntax_uid.rsplit(".", 1)[-1] in {"100", "101"} | {"1"}:
        return "video/mpeg"
    return OCTETS


def report(place: Place) -> Report:
    """The tree of a structured report. Raises RequestRefused."""
    only_identified(place)
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        found = report_of(attributes)
    if found is None:
        raise NothingToShow("It is no structured report.")
    return found


def report_page(request: HttpRequest, place: Place) -> HttpResponse:
    """The report as a page without scripts and styles. Raises RequestRefused."""
    pick(request, ("text/html",))
    found = report(place)
    title = escape(found.title or "Report")
    facts = "".join(f"<dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in found.facts)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<main><h1>{title}</h1><dl>{facts}</dl>{_list(found.content)}</main></html>"
    )
    return kept(HttpResponse(page, content_type="text/html; charset=utf-8"), etag_of("report", place.version_id))  # type: ignore[no-any-return]


def _list(content: list[Content]) -> str:
    rows = []
    for item in content:
        name = f"<b>{escape(item.name)}</b>" if item.name else ""
        value = f"<span><bdi>{escape(item.value)}</bdi></span>" if item.value else ""
        rows.append(f"<li>{name} {value}{_list(item.items)}</li>")
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def bulk(request: HttpRequest, place: Place, path: str) -> HttpResponseBase:
    """One large value, as the metadata's BulkDataURI names it. Raises RequestRefused."""
    if _PATH.fullmatch(path) is None:
        raise NothingToShow("There is no such value.")
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        element = _element(attributes, path)
        if element.tag in _PIXELS and "/" not in path:
            pieces = known_of(place).layout.stream() if element.undefined else [(element.value, element.length)]
            pieces = [(offset, min(length, attributes.size - offset)) for offset, length in pieces]
        else:
            only_identified(place)
            pieces = [(element.value, element.length)]
        if element.tag in _PIXELS and known_of(place).overlays:
            only_identified(place)  # in the bits beside the samples may stand a name
        return _value(request, place, attributes, pieces, OCTETS)


def _element(attributes: Attributes, path: str) -> Element:
    elements = attributes.elements
    steps = path.split("/")
    while True:
        tag = int(steps[0], 16)
        element = next((element for element in elements if element.tag == tag), None)
        if element is None:
            raise NothingToShow("There is no such value.")
        if len(steps) == 1:
            break
        if element.items is None or int(steps[1]) >= len(element.items):
            raise NothingToShow("There is no such value.")
        elements, steps = element.items[int(steps[1])], steps[2:]
    if element.items is not None or (element.undefined and element.tag not in _PIXELS):
        raise NothingToShow("It is a sequence: the metadata have it.")
    return element


def _value(
    request: HttpRequest, place: Place, attributes: Attributes, pieces: list[tuple[int, int]], media: str
) -> HttpResponseBase:
    etag = etag_of("value", place.version_id, pieces, media)
    if "Range" not in request.headers and (same := unchanged(request, etag)) is not None:
        return same
    response: HttpResponseBase
    if attributes.direct:
        in_file = [(place.dataset_offset + offset, length) for offset, length in pieces]
        response = ranged_response(request, place.path, in_file, media)
    else:
        content = b"".join(attributes.read(offset, min(length, _MAX_OPENED)) for offset, length in pieces)
        response = HttpResponse(content, content_type=media)
    return kept(response, etag)  # type: ignore[no-any-return]
