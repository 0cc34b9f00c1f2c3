"""Routes: volumes and the scrubber of the home in which the web process runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path as FilePath
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from gantry import config
from gantry.accounts import connection, trail
from gantry.accounts.errors import Invalid, NotFound
from gantry.accounts.page import Page, PageQuery, Text, answer, pack, unpack
from gantry.accounts.route import may
from gantry.intake import scrub, volumes
from gantry.intake.errors import BadVolume, VolumeUnknown
from gantry.storage.errors import VolumeRefused

router = Router(tags=["storage"])
_MOST = 2**60 - 1


class VolumeIn(Schema):
    """A volume to add: an empty folder on this host, best of another file system."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=63, examples=["archive2"])
    path: Text = Field(min_length=1, examples=["/mnt/archive2"])
    quota_bytes: int | None = Field(default=None, ge=1, le=_MOST, description="Null: no quota")
    reserve_bytes: int = Field(default=0, ge=0, le=_MOST, description="Free space to keep on its file system")


class VolumeChange(Schema):
    """What to change; what is left out or null stays."""

    model_config = ConfigDict(extra="forbid")

    wanted: Literal["writing", "readonly"] | None = None
    quota_bytes: int | None = Field(default=None, ge=0, le=_MOST, description="0: no quota")
    reserve_bytes: int | None = Field(default=None, ge=0, le=_MOST)
    position: int | None = Field(default=None, ge=0, le=10_000, description="Volumes are filled in this order")


class VolumeOut(Schema):
    """A volume and how full it is now."""

    name: str
    path: str
    host: str
    is_home: bool
    position: int
    wanted: str = Field(examples=["writing"])
    state: str = Field(description="writing, full, readonly or missing (not mounted)", examples=["writing"])
    note: str = Field(description="Why it is in this state")
    free_bytes: int | None = Field(description="Null: missing")
    used_bytes: int = Field(description="Of stored files")
    quota_bytes: int | None
    reserve_bytes: int


class VolumePage(Page[VolumeOut]):
    """All volumes of this home."""


def _home() -> FilePath:
    return FilePath(config.current().home)


def _shown(level: volumes.Level) -> dict[str, Any]:
    row = level.volume
    fields = ("name", "path", "host", "is_home", "position", "wanted", "used_bytes", "quota_bytes", "reserve_bytes")
    return {
        **{field: getattr(row, field) for field in fields},
        "state": level.state,
        "note": level.note,
        "free_bytes": level.free_bytes,
    }


@router.get("/storage/volumes", auth=may("storage.view"), response=VolumePage, summary="List volumes")
def list_volumes(request: HttpRequest) -> dict[str, Any]:
    """In the order in which they are filled, as they are now."""
    return answer(request, map(_shown, volumes.levels(connection.of_request(), _home())), None)


def _one(name: str) -> dict[str, Any]:
    return next(_shown(one) for one in volumes.levels(connection.of_request(), _home()) if one.volume.name == name)


@router.post("/storage/volumes", auth=may("storage.edit"), response={201: VolumeOut}, summary="Add a volume")
def add_volume(request: HttpRequest, body: VolumeIn) -> Status[dict[str, Any]]:
    """It is written to when those before it are full."""
    try:
        volumes.add_volume(
            connection.of_request(), _home(), body.name, FilePath(body.path), quota_bytes=body.quota_bytes,
            reserve_bytes=body.reserve_bytes, by=trail.by_request(request),
        )  # fmt: skip
    except (BadVolume, VolumeRefused) as error:
        raise Invalid(f"The volume cannot be added: {error}.") from error
    return Status(201, _one(body.name))


@router.patch("/storage/volumes/{name}", auth=may("storage.edit"), response=VolumeOut, summary="Change a volume")
def set_volume(request: HttpRequest, name: str, body: VolumeChange) -> dict[str, Any]:
    """Its quota, reserve, place in the order, and whether anything is written to it."""
    changes = volumes.Changes(body.wanted, body.quota_bytes, body.reserve_bytes, body.position)
    try:
        volumes.set_volume(connection.of_request(), _home(), name, changes, by=trail.by_request(request))
    except VolumeUnknown as error:
        raise NotFound(str(error)) from error
    except BadVolume as error:
        raise Invalid(f"The volume cannot be changed: {error}.") from error
    return _one(name)


@router.delete("/storage/volumes/{name}", auth=may("storage.edit"), response={204: None}, summary="Forget a volume")
def remove_volume(request: HttpRequest, name: str) -> Status[None]:
    """Only one on which nothing lies."""
    try:
        volumes.remove_volume(connection.of_request(), _home(), name, by=trail.by_request(request))
    except VolumeUnknown as error:
        raise NotFound(str(error)) from error
    except BadVolume as error:
        raise Invalid(f"The volume cannot be forgotten: {error}.") from error
    return Status(204, None)


class ScrubOut(Schema):
    """How far the scrubber of this home is; counts are of the pass that runs, or of the last one."""

    home_id: UUID
    state: str = Field(description="idle or running", examples=["running"])
    phase: str = Field(description="versions, held, files or leftovers; empty: none", examples=["versions"])
    asked_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime | None
    total_bytes: int = Field(description="About what a pass reads")
    checked_files: int
    checked_bytes: int
    problems: int
    mended: int
    passes: int
    note: str
    open_findings: int


@router.get("/storage/scrub", auth=may("storage.view"), response=ScrubOut, summary="How far the scrubber is")
def get_scrub(request: HttpRequest) -> Any:
    """It compares every stored file with its digest, and files with the index."""
    return _scrub_state()


def _scrub_state() -> scrub.ScrubState:
    state = scrub.status(connection.of_request(), _home())
    if state is None:
        raise NotFound("This home has no scrubber.")
    return state


@router.post("/storage/scrub", auth=may("storage.edit"), response={202: ScrubOut}, summary="Begin a pass of the scrubber")
def start_scrub(request: HttpRequest) -> Status[Any]:
    """Within a minute, at the speed of the settings."""
    scrub.ask(connection.of_request(), _home())
    return Status(202, _scrub_state())


class ScrubFindingOut(Schema):
    """A file that was missing, damaged or unknown, and what became of it."""

    path: str = Field(description="Below the home")
    kind: str = Field(examples=["damaged"])
    version_id: int | None
    explanation: str
    found_at: datetime
    seen_at: datetime
    action: str = Field(description="What was done; empty: nothing yet", examples=["healed"])
    action_note: str
    ended_at: datetime | None = Field(description="Since when it is no problem any more")


class ScrubFindingPage(Page[ScrubFindingOut]):
    """A page of findings."""


class FindingQuery(PageQuery):
    """Which findings."""

    ended: bool = Field(default=False, description="Those that are no problem any more, too")


@router.get("/storage/findings", auth=may("storage.view"), response=ScrubFindingPage, summary="What the scrubber found")
def list_findings(request: HttpRequest, query: Query[FindingQuery]) -> dict[str, Any]:
    """The newest first."""
    before = unpack(query.cursor) if query.cursor else None
    found = scrub.list_findings(connection.of_request(), _home(), ended=query.ended, before=before, limit=query.limit + 1)
    more = len(found) > query.limit
    return answer(request, found[: query.limit], pack(found[query.limit - 1].id) if more else None)
