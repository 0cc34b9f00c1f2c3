"""The life of alerts: seen, open, acknowledged, closed; who is told, and how often.

A cause must be there at two looks before anybody is told, and gone for five minutes before it is closed, so that
what comes and goes makes one alert and not a hundred. All that is to be told after one look is one mail.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import connection as django_connection
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from gantry import config, database
from gantry.accounts import mail
from gantry.accounts.connection import of_request
from gantry.accounts.models import User
from gantry.alerts.errors import AlertMissing
from gantry.alerts.models import Alert
from gantry.audit import By, record
from gantry.facts import publish
from gantry.facts.kinds import AlertChanged

log = logging.getLogger("gantry.alerts")
OPENS_AFTER = timedelta(seconds=45)
CLOSES_AFTER = timedelta(minutes=5)
REMIND_AFTER = timedelta(hours=24)
MAX_LINES = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule sees at one look. No patient data: it goes into mails. `at_once`: it needs no second look."""

    rule: str
    subject: str
    message: str
    remedy: str = ""
    at_once: bool = False


def note(connection: psycopg.Connection[Any], findings: Sequence[Finding], failed: Sequence[str], now: datetime) -> list[int]:
    """Bring the alerts to what was found; gives the ids of those that opened or closed.

    `failed`: rules that could not look; their alerts stay as they are. Facts are published in the same transaction.
    """
    queries = database.statements("gantry.alerts", "alerts.sql")
    changed: dict[int, str] = {}
    unique = {(finding.rule, finding.subject): finding for finding in findings}.values()
    with connection.transaction():
        for finding in unique:
            values = {
                "rule": finding.rule, "subject": finding.subject, "message": finding.message, "remedy": finding.remedy,
                "now": now,
            }  # fmt: skip
            row = connection.execute(queries["see"], values).fetchone()
            assert row is not None
            alert_id, state, first_at = row
            if state == "seen" and (finding.at_once or now - first_at >= OPENS_AFTER):
                connection.execute(queries["open"], {"id": alert_id, "now": now})
                changed[alert_id] = "open"
        present = [f"{finding.rule}\n{finding.subject}" for finding in unique]
        values = {"present": present, "failed": list(failed), "now": now, "before": now - CLOSES_AFTER}
        connection.execute(queries["pass_over"], values)
        connection.execute(queries["miss"], values)
        for (alert_id,) in connection.execute(queries["close"], values).fetchall():
            changed[alert_id] = "closed"
        if changed:
            publish(connection, *[AlertChanged(alert_id, state) for alert_id, state in changed.items()])
    return sorted(changed)


def recipients() -> list[str]:
    """Who is told by mail: the setting mail_administrators, or every administrator who has an address."""
    people = User.objects.filter(role="administrator", is_active=True).exclude(email="")
    return list(config.current().mail_administrators) or list(people.values_list("email", flat=True)[:20])


def tell(now: datetime) -> int:
    """One mail for all that is to be told: opened, closed, not acknowledged for long; gives the number of alerts."""
    opened = list(Alert.objects.filter(state="open", mailed_at=None).order_by("pk"))
    reminded = list(Alert.objects.filter(state="open", mailed_at__lt=now - REMIND_AFTER).order_by("pk"))
    closed = list(Alert.objects.filter(state="closed", mails__gt=0, closed_at__gt=F("mailed_at")).order_by("pk"))
    if not (opened or reminded or closed):
        return 0
    to = recipients()
    if to:
        first = (opened or reminded or closed)[0]
        more = len(opened) + len(reminded) + len(closed) - 1
        word = "" if opened else "still: " if reminded else "over: "
        subject = f"[Gantry] {word}{first.message}"[:150] + (f" (and {more} more)" if more else "")
        try:
            mail.send(to, subject.replace("\n", " "), _text(opened, reminded, closed))
        except mail.MailFailed as error:
            log.warning("alerts could not be mailed: %s", error)
            return 0
    for alert in (*opened, *reminded, *closed):
        alert.mailed_at, alert.mails = now, alert.mails + 1
        alert.save(update_fields=["mailed_at", "mails"])
    return len(opened) + len(reminded) + len(closed)


def _text(opened: Sequence[Alert], reminded: Sequence[Alert], closed: Sequence[Alert]) -> str:
    lines = []
    for title, alerts in (("New", opened), ("Still open, and nobody has acknowledged it", reminded), ("Over", closed)):
        if not alerts:
            continue
        lines.append(f"{title}:")
        for alert in alerts[:MAX_LINES]:
            lines.append(f"  {alert.id}  {alert.message}")
            if alert.remedy and title != "Over":
                lines.append(f"      {alert.remedy}")
        if len(alerts) > MAX_LINES:
            lines.append(f"  ... and {len(alerts) - MAX_LINES} more")
        lines.append("")
    lines.append("`gantry alerts list` shows all; `gantry alerts ack NUMBER` ends the reminders.")
    return "\n".join(lines)


def acknowledge(alert_id: int, by: By) -> Alert:
    """Somebody looks after it: no more reminders. Saying it twice changes nothing. Raises AlertMissing."""
    with transaction.atomic(), django_connection.cursor() as cursor:
        alert = Alert.objects.select_for_update().filter(pk=alert_id, state__in=["open", "acknowledged"]).first()
        if alert is None:
            raise AlertMissing(f"There is no open alert {alert_id}.")
        if alert.state == "open":
            alert.state, alert.acknowledged_at, alert.acknowledged_by = "acknowledged", timezone.now(), by.who
            alert.save(update_fields=["state", "acknowledged_at", "acknowledged_by"])
            record(
                cursor,
                "alert.acknowledge",
                by,
                kind="alert",
                key=str(alert_id),
                after={"rule": alert.rule, "subject": alert.subject},
            )
            publish(of_request(), AlertChanged(alert.pk, "acknowledged"))
    return alert
