"""What `gantry doctor` looks at, in short and for the page: nothing that takes long, nothing that calls a node."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import DatabaseError, connection, transaction

from gantry import config
from gantry.accounts import connection as connections
from gantry.intake import scrub
from gantry.intake.volumes import Level
from gantry.main import doctor_dicom
from gantry.main.findings import Finding
from gantry.main.health_api import CHECKS
from gantry.transfers.measure import Outlook

log = logging.getLogger("gantry.web")
_PATIENCE = "2s"
_STATES = {"writing": "it takes new objects", "readonly": "it is only read", "full": "it is full"}
_COUNTS = (
    ("quarantine", "SELECT count(*) FROM intake_quarantinedobject WHERE state = 'held'",
     "{count} objects could not be indexed and are held in quarantine", "See why, then repair, accept or discard them"),
    ("conflicts", "SELECT count(*) FROM catalogue_conflict WHERE resolved_at IS NULL",
     "{count} conflicts between senders are open", "The studies concerned show them"),
)  # fmt: skip


def look(destinations: list[Outlook], levels: list[Level]) -> list[Finding]:
    """All checks; one that fails itself is a problem, never an end."""
    settings = config.current()
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _ready,
        lambda: _volumes(levels),
        _counts,
        lambda: doctor_dicom.tls(settings),
        lambda: doctor_dicom.callers(settings),
        lambda: _destinations(destinations),
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found += list(check())
        except Exception as error:  # whatever one of many checks meets, the others still answer
            log.warning("a health check could not be made: %s", type(error).__name__)
            found.append(
                Finding("checks", "problem", f"a check could not be made: {type(error).__name__}", "Run `gantry doctor`")
            )
    return found


def _ready() -> Iterator[Finding]:
    for check in (one() for one in CHECKS):
        yield Finding(check.name, "fine" if check.ok else "problem", check.message, check.remedy)


def _volumes(levels: list[Level]) -> Iterator[Finding]:
    usable = any(one.state == "writing" for one in levels)
    for one in levels:
        subject = f"volume {one.volume.name}"
        if one.state == "missing":
            yield Finding(subject, "problem", one.note, "Mount it; what lies on it waits, nothing is lost")
        elif one.state == "full" and not usable:
            remedy = "Add a volume, raise its quota, or delete studies"
            yield Finding(subject, "problem", f"it is full: {one.note}; no other volume takes new objects", remedy)
        else:
            yield Finding(subject, "fine", one.note or _STATES.get(one.state, one.state))
    damaged = len(scrub.list_findings(connections.of_request(), Path(config.current().home), limit=1000))
    if damaged:
        remedy = "Storage names them; a node that has them heals them, or restore a backup"
        yield Finding("stored files", "problem", f"{damaged} stored files are damaged or missing", remedy)


def _counts() -> Iterator[Finding]:
    for subject, statement, words, remedy in _COUNTS:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
                cursor.execute(statement)
                count = int(cursor.fetchone()[0])
        except DatabaseError:
            yield Finding(subject, "warning", "could not be counted in time", "Run `gantry doctor`")
            continue
        yield Finding(subject, "warning", words.format(count=count), remedy) if count else Finding(subject, "fine", "none")


def _destinations(destinations: list[Outlook]) -> Iterator[Finding]:
    dead = sum(one.dead for one in destinations)
    if dead:
        yield Finding("deliveries", "warning", f"{dead} deliveries were given up", "Mend the cause, then retry them")
    else:
        yield Finding("deliveries", "fine", "none was given up")
    for one in destinations:
        if not one.enabled:
            yield Finding(f"node {one.name}", "warning", "its deliveries are paused", "Resume them when it may be sent to")
        elif one.breaker != "closed":
            yield Finding(
                f"node {one.name}", "problem", one.last_error or "it could not be reached",
                "It is asked again by itself; echo it to see what is wrong",
            )  # fmt: skip
        else:
            yield Finding(f"node {one.name}", "fine", "it answered when it was last needed")
