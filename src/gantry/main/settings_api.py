"""Routes: the settings in force and where they come from, backups, and what this program is."""

from __future__ import annotations

import platform
import typing
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from django.db import connection
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

import gantry
from gantry import config
from gantry.accounts.page import Page, answer
from gantry.accounts.route import may
from gantry.main import backup, setting_origins
from gantry.main.backup_manifest import MANIFEST
from gantry.main.home import Home
from gantry.main.one_file.api import only_administrators
from gantry.main.one_file.settings import OF_THE_MACHINE

router = Router(tags=["setup"])
LICENCE = "Apache-2.0"
_UNITS = {
    "mb_per_second": "MB/s", "_seconds": "seconds", "_minutes": "minutes", "_days": "days", "_mb": "MB", "max_pdu": "bytes",
}  # fmt: skip
#: A folder with more backups than this is not read to its end.
_MOST_BACKUPS = 1000


class SettingOut(Schema):
    """A setting."""

    name: str = Field(examples=["dicom"])
    value: Any = Field(description="In force now; passwords in addresses are left out", examples=["127.0.0.1:11112"])
    default: Any = Field(examples=["127.0.0.1:11112"])
    is_default: bool
    source: Literal["default", "file", "variable", "command line"]
    place: str = Field(description="File and line, or the variable; empty: default or command line", examples=["gantry.yaml:3"])
    type: Literal["text", "number", "yes or no", "list", "choice", "path"]
    choices: list[str] = Field(description="Of a choice; empty: any")
    meaning: str
    unit: str = Field(description="Of a number; empty: none", examples=["seconds"])
    least: float | None = Field(description="Of a number; null: no limit")
    most: float | None
    after_restart: Any = Field(description="What gantry.yaml says by now; as `value` when nothing waits for a restart")
    waiting: bool = Field(description="Another value waits for a restart")
    fixed: Literal["", "machine", "variable", "command line"] = Field(
        description="Why `POST /setup?settings=true` cannot change it: belongs to the machine, or what wins over gantry.yaml"
    )


class SettingPage(Page[SettingOut]):
    """All settings, on one page."""


class AboutOut(Schema):
    """What this program is, and where it runs."""

    name: str
    version: str
    licence: str
    python: str
    database: str = Field(examples=["PostgreSQL 18.0"])
    embedded_database: bool
    home: str
    settings_file: str
    aet: str
    time_zone: str


class BackupOut(Schema):
    """A backup in the folder."""

    name: str
    made_at: datetime | None = Field(description="By its name")


class BackupsOut(Schema):
    """Whether backups are made, and how the last ones went."""

    folder: str = Field(description="Empty: none is made by this instance")
    time: str = Field(examples=["02:30"])
    keep: int = Field(description="0: all")
    rehearses: bool = Field(description="Each daily backup is restored elsewhere and compared (setting backup_verify)")
    last_success: datetime | None
    last_failure: datetime | None
    last_rehearsal: datetime | None = Field(description="When a backup was last restored elsewhere and was as it should be")
    error: str = Field(description="Of the last failure, when nothing succeeded since")
    file: str = Field(description="Name of the last one")
    backups: list[BackupOut] = Field(description="In the folder, the newest first")


@router.get("/settings", auth=may("setup.view"), response=SettingPage, summary="List settings")
def list_settings(request: HttpRequest) -> dict[str, Any]:
    """Every setting with its value, where that comes from, and what it means. Secrets are not among them."""
    only_administrators(request)
    return answer(request, _settings(), None)


@router.get("/about", auth=may("system.view"), response=AboutOut, summary="What is this?")
def get_about(request: HttpRequest) -> dict[str, Any]:
    """Version, licence, and what it runs on."""
    settings = config.current()
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0].split()[0]
    return {
        "name": "Gantry", "version": gantry.__version__, "licence": LICENCE, "python": platform.python_version(),
        "database": f"PostgreSQL {version}",
        "embedded_database": "database_url" not in setting_origins.origins(settings), "home": str(settings.home),
        "settings_file": str(setting_origins.place(settings)), "aet": settings.aet, "time_zone": settings.time_zone,
    }  # fmt: skip


@router.get("/backups", auth=may("system.view"), response=BackupsOut, summary="How are the backups?")
def get_backups(request: HttpRequest) -> dict[str, Any]:
    """What the schedule is, how the last backups went, and which there are."""
    settings = config.current()
    last = backup.last(Home(Path(settings.home)))
    success, failure = _moment(last.get("last_success")), _moment(last.get("last_failure"))
    failed = failure is not None and (success is None or failure > success)
    return {
        "folder": settings.backup_folder, "time": settings.backup_time, "keep": settings.backup_keep,
        "rehearses": settings.backup_verify, "last_success": success, "last_failure": failure,
        "last_rehearsal": _moment(last.get("last_rehearsal")), "error": str(last.get("error", "")) if failed else "",
        "file": str(last.get("file", "")), "backups": list(_backups(settings.backup_folder)),
    }  # fmt: skip


def _settings() -> typing.Iterator[dict[str, Any]]:
    settings = config.current()
    values = settings.model_dump(mode="json")
    coming = setting_origins.coming(settings).model_dump(mode="json")
    known = setting_origins.origins(settings)
    for name, field in config.Config.model_fields.items():
        usual = field.get_default(call_default_factory=True)
        kind, choices = _kind(field.annotation)
        place = known.get(name, "")
        if name == "database_url" and not place:
            values[name] = coming[name] = usual  # the supervisor names the embedded server in it
        source = (
            "default" if not place
            else "command line" if place == setting_origins.COMMAND_LINE
            else "variable" if place.startswith("GANTRY_")
            else "file"
        )  # fmt: skip
        yield {
            "name": name, "value": without_password(values[name]), "default": str(usual) if isinstance(usual, Path) else usual,
            "is_default": not place, "source": source,
            "place": "" if source == "command line" else place, "type": kind, "choices": choices,
            "meaning": field.description or "", "unit": _unit(name) if kind == "number" else "", **_limits(field.metadata),
            "after_restart": without_password(coming[name]), "waiting": coming[name] != values[name],
            "fixed": "machine" if name in OF_THE_MACHINE else source if source in {"variable", "command line"} else "",
        }  # fmt: skip


def _unit(name: str) -> str:
    """By the end of the name, where its settings have one."""
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")


def _limits(metadata: Sequence[Any]) -> dict[str, float | None]:
    """From the constraints of the field; the least above 0 is 0."""
    least = [getattr(one, key) for one in metadata for key in ("ge", "gt") if hasattr(one, key)]
    most = [getattr(one, key) for one in metadata for key in ("le", "lt") if hasattr(one, key)]
    return {"least": least[0] if least else None, "most": most[0] if most else None}


def without_password(value: Any) -> Any:
    """An address with `***` for its password; anything else as it is."""
    if not isinstance(value, str) or "://" not in value or "@" not in value:
        return value
    scheme, _, rest = value.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:***@{place}"


def _kind(annotation: Any) -> tuple[str, list[str]]:
    if typing.get_origin(annotation) is Literal:
        return "choice", [str(one) for one in typing.get_args(annotation)]
    if typing.get_origin(annotation) is list:
        return "list", []
    if isinstance(annotation, UnionType):
        return "text", []
    return {bool: "yes or no", int: "number", float: "number", Path: "path"}.get(annotation, "text"), []


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError):
        return None


def _backups(folder: str) -> typing.Iterator[dict[str, Any]]:
    if not folder:
        return
    try:
        names = sorted((one.name for one in Path(folder).iterdir() if one.name.startswith(backup.PREFIX)), reverse=True)
        found = [name for name in names[:_MOST_BACKUPS] if (Path(folder) / name / MANIFEST).is_file()]
    except OSError:
        return
    for name in found:
        stamp = name.removeprefix(backup.PREFIX)[:16]
        yield {"name": name, "made_at": _moment(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:11]}:{stamp[11:13]}:{stamp[13:15]}+00:00")}
