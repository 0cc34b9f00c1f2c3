"""Routes of PS3.18 under /dicomweb: metadata, frames, rendered, thumbnail, bulkdata, the stored instance."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Path, Router
from pydantic import Field

from gantry.accounts.page import Uid
from gantry.accounts.route import may
from gantry.dataset.render_pool import warm_renderers
from gantry.dicomweb import documents, frames, metadata, pictures
from gantry.dicomweb.errors import refusing
from gantry.dicomweb.find import find_instance, find_picture, find_study, note_download
from gantry.dicomweb.negotiation import pick
from gantry.dicomweb.streaming import pieces_response

router = Router(tags=["dicomweb"])

_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
FrameList = Annotated[str, Field(max_length=8000, examples=["1,2,3"])]
_JSON = ("application/dicom+json", "application/json")


@router.get("/studies/{study}/metadata", auth=may("studies.view"), summary="Metadata of a study")
def study_metadata(request: HttpRequest, study: Path[Uid]) -> HttpResponseBase:
    """Attributes of all its instances as DICOM JSON, large values by URL."""
    pick(request, _JSON)
    return metadata.of_places(request, find_study(request, study))


@router.get(_SERIES + "/metadata", auth=may("studies.view"), summary="Metadata of a series")
def series_metadata(request: HttpRequest, study: Path[Uid], series: Path[Uid]) -> HttpResponseBase:
    """Attributes of its instances as DICOM JSON, in the order of their numbers."""
    pick(request, _JSON)
    answer = metadata.of_series(request, series, study=study)
    warm_renderers()  # pictures come next; not before, for it takes the processor from this one
    return answer


@router.get(_INSTANCE + "/metadata", auth=may("studies.view"), summary="Metadata of an instance")
def instance_metadata(request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid]) -> HttpResponseBase:
    """Attributes of one instance as DICOM JSON."""
    pick(request, _JSON)
    return metadata.of_places(request, [find_instance(request, instance, study=study, series=series)])


@router.get(_INSTANCE + "/frames/{numbers}", auth=may("studies.view"), summary="Frames of an instance")
def instance_frames(
    request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid], numbers: Path[FrameList]
) -> HttpResponseBase:
    """Raw frames, as stored with `transfer-syntax=*`, else as plain bytes; in parts or single by Accept."""
    wanted = frames.numbers_of(numbers)
    return frames.answer(request, find_instance(request, instance, study=study, series=series), wanted)


@router.get(_INSTANCE + "/rendered", auth=may("studies.view"), summary="An instance for people")
def instance_rendered(request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid]) -> HttpResponseBase:
    """A picture of the first frame; the document, video or report that the instance is."""
    place = find_instance(request, instance, study=study, series=series)
    if documents.is_document(place):
        return documents.document(request, place)
    if documents.is_report(place):
        return documents.report_page(request, place)
    if documents.is_video(place):
        return documents.video(request, place)
    return pictures.rendered(request, place, 1)


@router.get(_INSTANCE + "/frames/{number}/rendered", auth=may("studies.view"), summary="A frame as a picture")
def frame_rendered(
    request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid], number: Path[FrameList]
) -> HttpResponseBase:
    """JPEG or PNG, with `window`, `viewport` and `quality`."""
    frame = frames.one_number(number)
    return pictures.rendered(request, find_instance(request, instance, study=study, series=series), frame)


@router.get("/studies/{study}/thumbnail", auth=may("studies.view"), summary="Thumbnail of a study")
def study_thumbnail(request: HttpRequest, study: Path[Uid]) -> HttpResponseBase:
    """Of the middle instance of its first series with images."""
    return pictures.thumbnail(request, find_picture(request, None, study=study))


@router.get(_SERIES + "/thumbnail", auth=may("studies.view"), summary="Thumbnail of a series")
def series_thumbnail(request: HttpRequest, study: Path[Uid], series: Path[Uid]) -> HttpResponseBase:
    """Of its middle instance."""
    return pictures.thumbnail(request, find_picture(request, series, study=study))


@router.get(_INSTANCE + "/thumbnail", auth=may("studies.view"), summary="Thumbnail of an instance")
def instance_thumbnail(request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid]) -> HttpResponseBase:
    """Of its middle frame."""
    return pictures.thumbnail(request, find_instance(request, instance, study=study, series=series))


@router.get(_INSTANCE + "/frames/{number}/thumbnail", auth=may("studies.view"), summary="Thumbnail of a frame")
def frame_thumbnail(
    request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid], number: Path[FrameList]
) -> HttpResponseBase:
    """A small JPEG."""
    frame = frames.one_number(number)
    return pictures.thumbnail(request, find_instance(request, instance, study=study, series=series), frame)


@router.get(_INSTANCE + "/bulkdata/{path:path}", auth=may("studies.view"), summary="A large value")
def instance_bulkdata(
    request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid], path: Path[FrameList]
) -> HttpResponseBase:
    """The bytes of one element, where BulkDataURI of the metadata leads."""
    return documents.bulk(request, find_instance(request, instance, study=study, series=series), path)


@router.get(_INSTANCE, auth=may("studies.download"), summary="The stored instance")
def retrieve_instance(request: HttpRequest, study: Path[Uid], series: Path[Uid], instance: Path[Uid]) -> HttpResponseBase:
    """The Part 10 file as stored: send `Accept: application/dicom`."""
    pick(request, ("application/dicom",))
    place = find_instance(request, instance, study=study, series=series, action="studies.download")
    note_download(request, "instance.download", "instance", instance, place)
    with refusing():
        return pieces_response(place.path, [(0, place.file_bytes)], "application/dicom")
