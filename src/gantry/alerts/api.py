"""Routes: alerts, and webhooks with their log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from gantry.accounts.connection import of_request
from gantry.accounts.page import PageQuery, RowId, answer, by_id
from gantry.accounts.route import actor_of, may
from gantry.accounts.sign_in import address_of
from gantry.alerts import samples, state, webhooks
from gantry.alerts.models import Alert, Notice, Webhook
from gantry.alerts.schemas import (
    AlertOut,
    AlertPage,
    AlertQuery,
    Attempt,
    Name,
    NoticePage,
    Secret,
    Series,
    SeriesQuery,
    WebhookChange,
    WebhookIn,
    WebhookMade,
    WebhookOut,
    WebhookPage,
)
from gantry.audit import By, by_actor

router = Router(tags=["alerts"])


def _by(request: HttpRequest) -> By:
    return by_actor(actor_of(request), address_of(request))


@router.get("/alerts", auth=may("alerts.view"), response=AlertPage, summary="List alerts")
def list_alerts(request: HttpRequest, query: Query[AlertQuery]) -> dict[str, Any]:
    """What needs a person, and what did, the newest first."""
    rows = Alert.objects.exclude(state="seen")
    if query.open:
        rows = rows.exclude(state="closed")
    if query.state:
        rows = rows.filter(state=query.state)
    found, cursor = by_id(rows, query, newest_first=True)
    return answer(request, found, cursor)


@router.post("/alerts/{alert_id}/acknowledge", auth=may("alerts.acknowledge"), response=AlertOut, summary="Acknowledge an alert")
def acknowledge_alert(request: HttpRequest, alert_id: Path[RowId]) -> Alert:
    """Say that somebody looks after it: no more reminders. It closes when its cause is gone."""
    return state.acknowledge(alert_id, _by(request))


_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@router.get("/metrics/series", auth=may("metrics.view"), response=Series, summary="What came and went")
def metrics_series(request: HttpRequest, query: Query[SeriesQuery]) -> dict[str, Any]:
    """Received and forwarded instances and bytes, and the index lag, by minute (8 days), hour (400 days) or day."""
    until = query.until or datetime.now(UTC)
    since = query.since or until - 60 * _STEPS[query.step]
    rows = samples.series(of_request(), query.measure, query.step, since, until, subject=query.subject)
    points = [{"at": at, "subject": subject, "value": value} for at, subject, value in rows]
    return {"measure": query.measure, "step": query.step, "points": points}


@router.get("/webhooks", auth=may("webhooks.edit"), response=WebhookPage, summary="List webhooks")
def list_webhooks(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """Who is told over HTTP, oldest first."""
    found, cursor = by_id(Webhook.objects.all(), query, newest_first=False)
    return answer(request, found, cursor)


@router.post("/webhooks", auth=may("webhooks.edit"), response={201: WebhookMade}, summary="Add a webhook")
def add_webhook(request: HttpRequest, body: WebhookIn) -> Status[dict[str, Any]]:
    """Tell a URL what happens from now on, signed (Standard Webhooks). The secret is in this answer and nowhere else."""
    webhook, secret = webhooks.add(body.name, body.url, body.kinds, _by(request))
    return Status(201, {**WebhookOut.from_orm(webhook).dict(), "secret": secret})


@router.patch("/webhooks/{name}", auth=may("webhooks.edit"), response=WebhookOut, summary="Change a webhook")
def change_webhook(request: HttpRequest, name: Path[Name], body: WebhookChange) -> Webhook:
    """Another URL, other kinds, on or off. Pauses after failures end."""
    return webhooks.change(name, _by(request), url=body.url, kinds=body.kinds, enabled=body.enabled)


@router.delete("/webhooks/{name}", auth=may("webhooks.edit"), response={204: None}, summary="Remove a webhook")
def remove_webhook(request: HttpRequest, name: Path[Name]) -> Status[None]:
    """Remove it with its log."""
    webhooks.remove(name, _by(request))
    return Status(204, None)


@router.post("/webhooks/{name}/secret", auth=may("webhooks.edit"), response=Secret, summary="Give a webhook a new secret")
def renew_webhook_secret(request: HttpRequest, name: Path[Name]) -> dict[str, str]:
    """The old secret is of no use from now on."""
    return {"secret": webhooks.renew_secret(name, _by(request))}


@router.post("/webhooks/{name}/test", auth=may("webhooks.edit"), response=Attempt, summary="Try a webhook")
def test_webhook(request: HttpRequest, name: Path[Name]) -> dict[str, Any]:
    """Send a message of type Test now, wait for the answer up to ten seconds."""
    ok, status, explanation = webhooks.attempt(name)
    return {"ok": ok, "status": status, "explanation": explanation}


@router.get("/webhooks/{name}/notices", auth=may("webhooks.edit"), response=NoticePage, summary="The log of a webhook")
def list_webhook_notices(request: HttpRequest, name: Path[Name], query: Query[PageQuery]) -> dict[str, Any]:
    """What was sent in the last 30 days and what became of it, the newest first."""
    found, cursor = by_id(Notice.objects.filter(webhook=webhooks.get(name)), query, newest_first=True)
    return answer(request, found, cursor)
