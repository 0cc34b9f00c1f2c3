"""Routes under /api/v1 beside the catalogue's: attributes and report of an instance, the first image, archives."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Path, Query, Router, Schema
from pydantic import Field

from gantry.accounts.page import Text, Uid
from gantry.accounts.route import may
from gantry.dataset.attributes import open_attributes
from gantry.dataset.attributes_list import rows
from gantry.dicomweb import archive, documents, pictures
from gantry.dicomweb.errors import TooMuchAtOnce, refusing
from gantry.dicomweb.find import Place, find_first_image, find_instance, find_series, find_study, note_download
from gantry.dicomweb.schemas import AttributePage, ReportOut

router = Router(tags=["catalogue"])
#: Rows of one answer; an instance has some hundred.
MAX_ROWS = 5000
#: Files of one archive.
MAX_FILES = 200_000
_JPEG = {"description": "The picture", "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
_BITS = {
    "description": "The bits", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}  # fmt: skip
FrameNumber = Annotated[int, Field(ge=1, le=2**31, description="From 1")]
OverlayGroup = Annotated[str, Field(pattern=r"^60[01][02468ACEace]$", examples=["6000"])]
_ZIP = {"description": "The ZIP", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}


class AttributeSearch(Schema):
    """Which elements."""

    q: Text = Field(default="", description="Contained in name, keyword or value; or how the tag begins", examples=["patient"])


@router.get("/instances/{uid}/attributes", auth=may("studies.view"), response=AttributePage, summary="All attributes")
def list_attributes(request: HttpRequest, uid: Path[Uid], query: Query[AttributeSearch]) -> dict[str, Any]:
    """Every element of the stored data set with its name, VR and value; long values are cut. At most 5 000."""
    place = find_instance(request, uid)
    with (
        refusing(),
        open_attributes(place.path, place.dataset_offset, place.dataset_bytes, place.transfer_syntax_uid) as attributes,
    ):
        found = list(islice(rows(attributes, query.q, shown_only=not place.identified), MAX_ROWS))
        return {
            "items": [asdict(row) for row in found],
            "next": None,
            "warnings": attributes.warnings if place.identified else [],
            "masked": not place.identified,
        }


@router.get(
    "/instances/{uid}/frames/{frame}/overlays/{group}", auth=may("studies.view"), summary="An overlay in the pixels",
    openapi_extra={"responses": {200: _BITS}},
)  # fmt: skip
def get_overlay(request: HttpRequest, uid: Path[Uid], frame: Path[FrameNumber], group: Path[OverlayGroup]) -> HttpResponseBase:
    """The overlay plane that stands in a bit beside the samples: a bit for each pixel, row by row, the first in the lowest."""
    return pictures.overlay(request, find_instance(request, uid), frame, int(group, 16))


@router.get("/instances/{uid}/report", auth=may("studies.view"), response=ReportOut, summary="A structured report")
def get_report(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """The content of a structured report as a tree."""
    found = documents.report(find_instance(request, uid))
    return {**asdict(found), "facts": [{"name": name, "value": value} for name, value in found.facts]}


class FirstImage(Schema):
    """Of which series."""

    series: Uid | None = Field(default=None, description="Otherwise of the first series with images")


@router.get(
    "/studies/{uid}/first-image", auth=may("studies.view"), summary="The image with which a viewer begins",
    openapi_extra={"responses": {200: _JPEG}},
)  # fmt: skip
def first_image(request: HttpRequest, uid: Path[Uid], query: Query[FirstImage]) -> HttpResponseBase:
    """As a JPEG of 512 pixels at most; `Content-Location` says which frame it is. The middle of a stack, else the first."""
    return pictures.first_image(request, find_first_image(request, uid, query.series))


@router.get(
    "/studies/{uid}/archive", auth=may("studies.download"), summary="Download a study",
    openapi_extra={"responses": {200: _ZIP}},
)  # fmt: skip
def download_study(request: HttpRequest, uid: Path[Uid]) -> HttpResponseBase:
    """The stored Part 10 files of a study as a ZIP, byte for byte, while they are read."""
    places = find_study(request, uid, action="studies.download", limit=MAX_FILES + 1)
    return _archive(request, places, "study", uid)


@router.get(
    "/series/{uid}/archive", auth=may("studies.download"), summary="Download a series",
    openapi_extra={"responses": {200: _ZIP}},
)  # fmt: skip
def download_series(request: HttpRequest, uid: Path[Uid]) -> HttpResponseBase:
    """The stored Part 10 files of a series as a ZIP, byte for byte, while they are read."""
    return _archive(request, find_series(request, uid, action="studies.download"), "series", uid)


def _archive(request: HttpRequest, places: list[Place], kind: str, uid: str) -> HttpResponseBase:
    if len(places) > MAX_FILES:
        raise TooMuchAtOnce(f"It has more than {MAX_FILES} files.", remedy="Download it series by series.")
    note_download(request, f"{kind}.download", kind, uid, places[0])
    return archive.answer(places, kind)
