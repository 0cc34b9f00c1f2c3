"""The rules of alerts: each looks at one thing and gives what it finds. The messages go into mails: no patient data."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from gantry import database
from gantry.alerts.state import Finding
from gantry.config import Config

log = logging.getLogger("gantry.alerts")
_SILENT_WINDOW = timedelta(hours=3)
_SILENT_WEEKS = 6
_SILENT_LEAST = 20
_LATELY = timedelta(hours=1)
_BACKUP_MAX_AGE = timedelta(hours=49)
_CERTIFICATE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule looks at."""

    connection: psycopg.Connection[Any]
    settings: Config
    now: datetime

    def rows(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a statement of alerts.sql."""
        return self.connection.execute(database.statements("gantry.alerts", "alerts.sql")[name], parameters).fetchall()


def destination_down(look: Look) -> Iterator[Finding]:
    """A node that deliveries wait for has not answered three times in a row."""
    for name, success, error in look.rows("destinations_down"):
        message = f"{name} has never answered, deliveries wait: {error}"
        if success:
            message = f"{name} has not answered since {success:%Y-%m-%d %H:%M} UTC, deliveries wait: {error}"
        yield Finding(
            "destination_down", name, message[:400],
            f"Check it and the way to it: `gantry node echo {name}`; deliveries go on by themselves.",
        )  # fmt: skip


def queue_age(look: Look) -> Iterator[Finding]:
    """Deliveries wait for too long; a destination that is down has its own alert."""
    limit = timedelta(minutes=look.settings.alert_queue_minutes)
    for name, created, down in look.rows("old_queues", before=look.now - limit):
        if not down:
            minutes = int((look.now - created).total_seconds() // 60)
            yield Finding(
                "queue_age", name, f"A delivery to {name} has waited for {minutes} minutes",
                f"`gantry deliveries --node {name}` shows the queue; look at windows, holds and limits.",
            )  # fmt: skip


def deliveries_dead(look: Look) -> Iterator[Finding]:
    """Deliveries were given up in the last hour."""
    for name, count in look.rows("dead_deliveries", since=look.now - _LATELY):
        yield Finding(
            "deliveries_dead", name, f"{count} deliveries to {name} were given up in the last hour",
            "`gantry deliveries --status dead` says why; then `gantry deliveries retry`.", at_once=True,
        )  # fmt: skip


def disk_reserve(look: Look) -> Iterator[Finding]:
    """A volume is near its reserve, full, or away."""
    reserve = look.settings.disk_reserve_mb * 1024 * 1024
    places: dict[str, tuple[str, int]] = {"home": (str(look.settings.home), reserve)}
    for name, path, state, words, own in look.rows("volumes"):
        if state in {"missing", "full"}:
            yield Finding(
                "disk_reserve", name, f"The volume {name} is {state}: {words}"[:300], "`gantry volume list` says more."
            )  # fmt: skip
        elif os.path.isdir(path):
            places[name] = (path, own or reserve)
    for name, (path, least) in places.items():
        free = shutil.disk_usage(path).free
        if free < least * 1.2:
            yield Finding(
                "disk_reserve", name, f"The volume {name} has {free // 2**20} MB free, its reserve is {least // 2**20} MB",
                "Free space or add a volume; below the reserve C-STORE is answered A700 when no other volume is there.",
            )  # fmt: skip


def index_lag(look: Look) -> Iterator[Finding]:
    """Received objects wait too long for the index, or the indexer is silent."""
    limit = look.settings.alert_index_seconds
    for row in look.rows("index_lag", since=look.now - timedelta(minutes=3)):
        if row[0] is not None and row[0] > limit:
            yield Finding(
                "index_lag", "", f"Received objects waited {int(row[0])} s for the index in the last minutes",
                "Is the database slow, or the disk? `gantry doctor` measures both.",
            )  # fmt: skip
            return
    try:
        silent = time.time() - (Path(look.settings.home) / "run" / "indexer.alive").stat().st_mtime
    except FileNotFoundError:
        return
    if silent > max(60, limit):
        yield Finding(
            "index_lag", "", f"The indexer has been silent for {int(silent)} s; received objects wait in the spool",
            "Look at logs/indexer.log.",
        )  # fmt: skip


def backup_failed(look: Look) -> Iterator[Finding]:
    """The last backup failed, or is too old; who never made one is not told."""
    try:
        state = json.loads((Path(look.settings.home) / "run" / "backup.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    success, failure = _moment(state.get("last_success")), _moment(state.get("last_failure"))
    if failure and (success is None or failure > success):
        words = str(state.get("error") or "")[:200]
        yield Finding(
            "backup_failed", "", f"The last backup failed: {words}", "Mend the cause, then `gantry backup`.", at_once=True
        )
    elif success and look.now - success > _BACKUP_MAX_AGE:
        yield Finding(
            "backup_failed", "", f"The last backup is of {success:%Y-%m-%d %H:%M} UTC", "Does its timer run? `gantry backup`."
        )


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def damage_found(look: Look) -> Iterator[Finding]:
    """The scrubber found files that are missing or damaged and could not mend them."""
    for kind, count in look.rows("damage"):
        yield Finding(
            "damage_found", kind, f"{count} stored files are {kind}", "`gantry verify` lists them; send or restore them again.",
            at_once=True,
        )  # fmt: skip


def rule_failed(look: Look) -> Iterator[Finding]:
    """The fact RuleFailed: a rule that decides now raised, timed out (a regex) or leads nowhere, so it sent nothing. It is
    over when another version of the rules is active, or nothing failed for an hour."""
    for name, message in look.rows("bad_rules", since=look.now - _LATELY):
        yield Finding(
            "rule_failed",
            name,
            f"The rule {name} does not work and sends nothing: {message}"[:400],
            "Mend it in a draft, try it, activate; then replay it over what came meanwhile: `gantry rule replay`.",
            at_once=True,
        )


def certificate_expiring(look: Look) -> Iterator[Finding]:
    """Our certificate of the TLS port ends soon."""
    path = look.settings.dicom_tls_certificate
    if not path:
        return
    from cryptography import x509

    end = x509.load_pem_x509_certificates(Path(path).read_bytes())[0].not_valid_after_utc
    days = (end - look.now).days
    if days < _CERTIFICATE_DAYS:
        words = f"ends in {days} days" if days >= 0 else "has expired"
        yield Finding(
            "certificate_expiring", path, f"The certificate {path} {words} ({end:%Y-%m-%d})", "Get a new one and restart."
        )


def webhook_failing(look: Look) -> Iterator[Finding]:
    """Messages to a webhook were given up."""
    for name, count in look.rows("dead_notices", since=look.now - _LATELY):
        yield Finding(
            "webhook_failing", name, f"{count} messages to the webhook {name} were given up in the last hour",
            f"`gantry webhook log {name}` says why.", at_once=True,
        )  # fmt: skip


def silent_modality(look: Look) -> Iterator[Finding]:
    """Nothing came from an AE in three hours in which in each of the last weeks something came."""
    end = look.now.replace(minute=0, second=0, microsecond=0)
    rows = look.rows("silent", begin=end - _SILENT_WINDOW, end=end, weeks=_SILENT_WEEKS, least=_SILENT_LEAST)
    for aet, expected in rows:
        yield Finding(
            "silent_modality", aet,
            f"{aet} has sent nothing for three hours; at this time of the week it sends about {round(expected)} instances",
            "Is it switched off, or does it send elsewhere? `gantry caller refused` shows who was turned away.",
        )  # fmt: skip


RULES: Mapping[str, Callable[[Look], Iterator[Finding]]] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            destination_down, queue_age, deliveries_dead, disk_reserve, index_lag, backup_failed, damage_found, rule_failed,
            certificate_expiring, webhook_failing, silent_modality,
        )
    }
)  # fmt: skip


def look_at_all(look: Look) -> tuple[list[Finding], list[str]]:
    """What all rules find, and the names of those that could not look. The connection is in autocommit."""
    findings: list[Finding] = []
    failed: list[str] = []
    for name, rule in RULES.items():
        try:
            findings += list(rule(look))
        except (psycopg.errors.Error, OSError, ValueError) as error:
            if isinstance(error, psycopg.OperationalError):
                raise
            log.warning("the alert rule %s could not look: %s", name, type(error).__name__)
            failed.append(name)
    return findings, failed
