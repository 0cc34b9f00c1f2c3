"""Routes: studies, series, instances, their bytes, and conflicts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path as FilePath
from typing import Any, Literal

from django.db.models import Q
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Path, Query, Router
from pydantic import Field

from gantry import config
from gantry.accounts.errors import NotFound, RequestRefused
from gantry.accounts.page import PageQuery, Uid, answer, by_id
from gantry.accounts.route import may
from gantry.catalogue.models import Conflict, Instance, Series, Study, Version
from gantry.catalogue.schemas import ConflictPage, InstanceDetail, SeriesOut, StudyDetail

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


@router.get("/instances/{uid}/file", auth=may("studies.download"), summary="Fetch the stored file")
def fetch_file(request: HttpRequest, uid: Path[Uid]) -> StreamingHttpResponse:
    """The Part 10 file of the current version, as stored. The headers say where the data set begins and its SHA-256."""
    version = Version.objects.filter(instance__sop_instance_uid=uid, current=True).first()
    if version is None:
        raise NotFound("There is no such instance.")
    home = FilePath(config.current().home)
    path = home / version.file_path
    if not path.resolve().is_relative_to(home.resolve() / "objects"):
        raise BytesMissing
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

    kind: Literal["", "identity", "demographics", "bytes", "hierarchy"] = Field(
        default="", description="Empty: all"
    )
    study_instance_uid: Uid | None = None
    open: bool | None = Field(default=None, description="true: not resolved yet")


@router.get("/conflicts", auth=may("conflicts.view"), response=ConflictPage, summary="List conflicts")
def list_conflicts(request: HttpRequest, query: Query[ConflictQuery]) -> dict[str, Any]:
    """Senders who disagree, newest first."""
    rows = Conflict.objects.select_related("study", "instance")
    if query.kind:
        rows = rows.filter(kind=query.kind)
    if query.study_instance_uid:
        rows = rows.filter(study__study_instance_uid=query.study_instance_uid)
    if query.open is not None:
        rows = rows.filter(resolved_at__isnull=query.open)
    found, cursor = by_id(rows, query, newest_first=True)
    return answer(request, found, cursor)
