"""Routes: studies, series, instances, their bytes, and conflicts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Path, Query, Router
from pydantic import Field

from gantry import config, storage
from gantry.accounts import connection, trail
from gantry.accounts.errors import NotFound, RequestRefused
from gantry.accounts.page import PageQuery, Text, Uid, answer, by_id
from gantry.accounts.route import actor_of, may
from gantry.accounts.visible import visible
from gantry.catalogue.access import Access, access, mask_header
from gantry.catalogue.api_studies import StudyFilters, in_time, refuse_hidden
from gantry.catalogue.find import InstanceFound, find_instances, find_series
from gantry.catalogue.models import Conflict, Study, Version
from gantry.catalogue.schemas import (
    ConflictPage,
    InstanceDetail,
    InstanceOut,
    InstancePage,
    SeriesOut,
    SeriesPage,
    StudyDetail,
    StudyOut,
    StudyPage,
)
from gantry.catalogue.search import StudyListed, one_study, search_studies
from gantry.storage import errors as storage_errors

router = Router(tags=["catalogue"])

#: A study or instance shows at most so many parts of each kind; the lists have them all.
MAX_PARTS = 1000
CHUNK_BYTES = 1024 * 1024


class BytesMissing(RequestRefused):
    """The index knows this file, and it is not on the disk."""

    status = 500
    code = "bytes_missing"
    remedy = "Run `gantry verify`, which names and mends what it can."


class FileBody:
    """The bytes of an open file, read in threads as fast as the client takes them: one chunk in memory."""

    def __init__(self, path: FilePath) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  the response closes it
        self.size = os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Called by the response when it ends, however it ends."""
        self._file.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(self._file.read, CHUNK_BYTES):
            yield chunk


class StudySearch(PageQuery, StudyFilters):
    """Which studies, and in which order."""

    sort: Literal["received", "date", "name", "accession"] = "received"
    order: Literal["desc", "asc"] = Field(default="desc", description="desc: the last first")


@router.get("/studies", auth=may("studies.view"), response=StudyPage, summary="Search studies")
def list_studies(request: HttpRequest, query: Query[StudySearch]) -> dict[str, Any]:
    """Studies, the last received first. Who may not see a patient's name cannot search by it either."""
    allowed = access(actor_of(request))
    refuse_hidden(allowed, query, sort=query.sort)
    with in_time():
        page = search_studies(
            connection.of_request(), query.wanted(), sort=query.sort, descending=query.order == "desc", limit=query.limit,
            cursor=query.cursor, access=allowed,
        )  # fmt: skip
    return answer(request, page.items, page.next)


@router.get("/studies/{uid}", auth=may("studies.view"), response=StudyDetail, summary="Get a study")
def get_study(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """One study with its series and conflicts, at most 1 000 of each."""
    allowed = access(actor_of(request))
    study = _one_study(uid, allowed)
    trail.note("study.view", trail.by_request(request), kind="study", key=uid, study_uid=uid, patient_id=_subject(study))
    series = find_series(connection.of_request(), study_instance_uid=uid, limit=MAX_PARTS).items
    conflicts = _seen_conflicts(request).filter(study_id=study.id)
    return {
        **StudyOut.from_orm(study).dict(),
        "series": [SeriesOut.from_orm(one) for one in series],
        "conflicts": list(conflicts.order_by("-pk")[:MAX_PARTS]),
        "hold_labels": study.hold_labels,
    }


def _subject(found: StudyListed) -> str:
    """Whose data was shown, for the audit; the actor may have seen less."""
    return Study.objects.filter(pk=found.id).values_list("patient__patient_id", flat=True).first() or ""


def _seen_conflicts(request: HttpRequest) -> QuerySet[Conflict]:
    """Conflicts quote what senders said of patients: shown where both the conflict and the patient may be seen."""
    actor = actor_of(request)
    rows = visible(actor, "conflicts.view").narrow(Conflict.objects.select_related("study", "instance"), "study_id")
    return visible(actor, "patients.identify").narrow(rows, "study_id")


def _one_study(uid: str, allowed: Access) -> StudyListed:
    found = one_study(connection.of_request(), uid, access=allowed)
    if found is None:
        raise NotFound("There is no such study.")
    return found


class SeriesQuery(PageQuery):
    """Which series."""

    study_instance_uid: Text = ""
    series_instance_uid: Text = ""
    modality: Text = ""


@router.get("/series", auth=may("studies.view"), response=SeriesPage, summary="Search series")
def list_series(request: HttpRequest, query: Query[SeriesQuery]) -> dict[str, Any]:
    """Series that have instances, the newest first."""
    page = find_series(
        connection.of_request(), study_instance_uid=query.study_instance_uid,
        series_instance_uid=query.series_instance_uid, modality=query.modality, limit=query.limit, cursor=query.cursor,
        access=access(actor_of(request)),
    )  # fmt: skip
    return answer(request, page.items, page.next)


@router.get("/series/{uid}", auth=may("studies.view"), response=SeriesOut, summary="Get a series")
def get_series(request: HttpRequest, uid: Path[Uid]) -> Any:
    """One series; when two studies have one of this UID (a conflict), the newest."""
    found = find_series(connection.of_request(), series_instance_uid=uid, limit=1, access=access(actor_of(request))).items
    if not found:
        raise NotFound("There is no such series.")
    return found[0]


class InstanceQuery(PageQuery):
    """Which instances."""

    study_instance_uid: Text = ""
    series_instance_uid: Text = ""
    sop_instance_uid: Text = ""
    sop_class_uid: Text = ""


@router.get("/instances", auth=may("studies.view"), response=InstancePage, summary="Search instances")
def list_instances(request: HttpRequest, query: Query[InstanceQuery]) -> dict[str, Any]:
    """Instances with their current bytes, the newest first."""
    page = find_instances(
        connection.of_request(), study_instance_uid=query.study_instance_uid,
        series_instance_uid=query.series_instance_uid, sop_instance_uid=query.sop_instance_uid,
        sop_class_uid=query.sop_class_uid, limit=query.limit, cursor=query.cursor, access=access(actor_of(request)),
    )  # fmt: skip
    return answer(request, page.items, page.next)


@router.get("/instances/{uid}", auth=may("studies.view"), response=InstanceDetail, summary="Get an instance")
def get_instance(request: HttpRequest, uid: Path[Uid]) -> dict[str, Any]:
    """One instance with its versions, newest first, and conflicts."""
    found = find_instances(connection.of_request(), sop_instance_uid=uid, limit=1, access=access(actor_of(request))).items
    if not found:
        raise NotFound("There is no such instance.")
    _note("instance.view", request, found[0])
    versions = list(Version.objects.filter(instance_id=found[0].id).order_by("-current", "-pk")[:MAX_PARTS])
    conflicts = _seen_conflicts(request).filter(instance_id=found[0].id)
    return {
        **InstanceOut.from_orm(found[0]).dict(),
        "patient_level": found[0].patient_level,
        "header": mask_header(versions[0].header, found[0].patient_level) if versions else {},
        "versions": versions,
        "conflicts": list(conflicts.order_by("-pk")[:MAX_PARTS]),
    }


def _note(act: str, request: HttpRequest, found: InstanceFound) -> None:
    patient = Study.objects.filter(pk=found.study_row).values_list("patient__patient_id", flat=True).first() or ""
    trail.note(
        act, trail.by_request(request), kind="instance", key=found.sop_instance_uid, study_uid=found.study_instance_uid,
        patient_id=patient,
    )  # fmt: skip


_DATASET_HEADERS = {
    "X-Gantry-Dataset-Offset": {"description": "Where the data set begins in the file", "schema": {"type": "integer"}},
    "X-Gantry-Dataset-SHA256": {"description": "Of the data set as received, hexadecimal", "schema": {"type": "string"}},
}
_FILE = {
    "description": "The Part 10 file",
    "headers": _DATASET_HEADERS,
    "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}},
}


@router.get(
    "/instances/{uid}/file", auth=may("studies.download"), summary="Fetch the stored file",
    openapi_extra={"responses": {200: _FILE}},
)  # fmt: skip
def fetch_file(request: HttpRequest, uid: Path[Uid]) -> StreamingHttpResponse:
    """The Part 10 file of the current version, as stored. The headers say where the data set begins and its SHA-256."""
    seen = access(actor_of(request), "studies.download")
    found = find_instances(connection.of_request(), sop_instance_uid=uid, limit=1, access=seen).items
    version = Version.objects.filter(pk=found[0].version_id).first() if found else None
    if version is None:
        raise NotFound("There is no such instance.")
    try:
        path = FilePath(storage.resolve(FilePath(config.current().home), version.file_path))
    except storage_errors.PathRefused as error:
        raise BytesMissing from error
    _note("instance.download", request, found[0])
    try:
        body = FileBody(path)
    except OSError as error:
        raise BytesMissing from error
    response = StreamingHttpResponse(body, content_type="application/dicom")
    response["Content-Length"] = str(body.size)
    response["Content-Disposition"] = f'attachment; filename="{uid}.dcm"'
    response["X-Gantry-Dataset-Offset"] = str(version.dataset_offset)
    response["X-Gantry-Dataset-SHA256"] = bytes(version.sha256).hex()
    return response


class ConflictQuery(PageQuery):
    """Which conflicts."""

    kind: Literal["", "identity", "demographics", "bytes", "hierarchy"] = Field(default="", description="Empty: all")
    study_instance_uid: Uid | None = None
    open: bool | None = Field(default=None, description="true: not resolved yet")


@router.get("/conflicts", auth=may("conflicts.view"), response=ConflictPage, summary="List conflicts")
def list_conflicts(request: HttpRequest, query: Query[ConflictQuery]) -> dict[str, Any]:
    """Senders who disagree, newest first."""
    rows = _seen_conflicts(request)
    if query.kind:
        rows = rows.filter(kind=query.kind)
    if query.study_instance_uid:
        rows = rows.filter(study__study_instance_uid=query.study_instance_uid)
    if query.open is not None:
        rows = rows.filter(resolved_at__isnull=query.open)
    found, cursor = by_id(rows, query, newest_first=True)
    return answer(request, found, cursor)
