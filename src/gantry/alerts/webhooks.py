"""Webhooks: add, change, remove, give a new secret, try."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from pathlib import Path

from django.db import IntegrityError, connection, transaction

from gantry import config, sealing
from gantry.accounts.connection import of_request
from gantry.alerts import sign
from gantry.alerts.errors import BadWebhook, NotSent, WebhookMissing
from gantry.alerts.guard import parse
from gantry.alerts.models import PURPOSE, Webhook
from gantry.alerts.post import post
from gantry.audit import By, Json, record
from gantry.facts import feed
from gantry.facts.visible import known_kinds

MAX_NAME = 100


def list_webhooks() -> list[Webhook]:
    """All, by name."""
    return list(Webhook.objects.order_by("name"))


def get(name: str) -> Webhook:
    """The webhook of a name. Raises WebhookMissing."""
    found = Webhook.objects.filter(name=name).first()
    if found is None:
        raise WebhookMissing(f"There is no webhook {name[:MAX_NAME]!r}.")
    return found


def add(name: str, url: str, kinds: Collection[str], by: By, *, secret: str = "") -> tuple[Webhook, str]:
    """Add a webhook that is told of facts of these kinds from now on; gives it with its secret, which is shown once.

    `secret`: empty for a new one, or a reference (`env:GANTRY_SECRET_...`, `file:/...`), which is not resolved here.
    Raises BadWebhook.
    """
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or "/" in name:
        raise BadWebhook(f"The name must have 1 to {MAX_NAME} printable characters and no slash.")
    parse(url, config.current())
    chosen = _kinds(kinds)
    plain = "" if secret else sign.make_secret()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            webhook = Webhook.objects.create(name=name, url=url, kinds=chosen, created_by=by.who, position=_now())
            _keep_secret(webhook, secret or plain)
            record(cursor, "webhook.add", by, kind="webhook", key=name, after=_shown(webhook))
    except IntegrityError as error:
        raise BadWebhook(f"There is a webhook {name!r} already.") from error
    return webhook, plain


def change(
    name: str, by: By, *, url: str | None = None, kinds: Collection[str] | None = None, enabled: bool | None = None,
    secret: str | None = None,
) -> Webhook:  # fmt: skip
    """Change what is given. One that is switched on again goes on with what happens from then. Raises BadWebhook.

    `secret`: a reference, or a secret, which is sealed.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        webhook = Webhook.objects.select_for_update().filter(name=name).first()
        if webhook is None:
            raise WebhookMissing(f"There is no webhook {name[:MAX_NAME]!r}.")
        before = _shown(webhook)
        if url is not None:
            parse(url, config.current())
            webhook.url = url
        if kinds is not None:
            webhook.kinds = _kinds(kinds)
        if enabled is not None:
            if enabled and not webhook.enabled:
                webhook.position = _now()
            webhook.enabled = enabled
        webhook.failures, webhook.not_before = 0, None
        webhook.save()
        if secret is not None:
            _keep_secret(webhook, secret)
            record(cursor, "webhook.secret", by, kind="webhook", key=name)
        record(cursor, "webhook.edit", by, kind="webhook", key=name, before=before, after=_shown(webhook))
    return webhook


def remove(name: str, by: By) -> None:
    """Remove it with its log. Raises WebhookMissing."""
    with transaction.atomic(), connection.cursor() as cursor:
        webhook = get(name)
        record(cursor, "webhook.remove", by, kind="webhook", key=name, before=_shown(webhook))
        webhook.delete()


def renew_secret(name: str, by: By) -> str:
    """Give it a new secret, valid at once; shown once. Raises WebhookMissing."""
    with transaction.atomic(), connection.cursor() as cursor:
        webhook = get(name)
        plain = sign.make_secret()
        _keep_secret(webhook, plain)
        record(cursor, "webhook.secret", by, kind="webhook", key=name)
    return plain


def attempt(name: str) -> tuple[bool, int | None, str]:
    """Send a test message now and wait for the answer: whether it came through, HTTP status, explanation."""
    webhook = get(name)
    settings = config.current()
    body = json.dumps({"type": "Test", "data": {"webhook": webhook.name}}).encode("utf-8")
    try:
        status = post(
            parse(webhook.url, settings), reveal(webhook), f"msg_test_{uuid.uuid4().hex}", "Test", body, settings
        )  # fmt: skip
    except (NotSent, BadWebhook, sealing.SecretUnavailable) as error:
        return False, getattr(error, "status", None) if isinstance(error, NotSent) else None, str(error)
    return True, status, ""


def reveal(webhook: Webhook) -> str:
    """Its secret. Raises sealing.SecretUnavailable."""
    return sealing.reveal(Path(config.current().home), webhook.secret, PURPOSE.format(key=webhook.pk))


def _keep_secret(webhook: Webhook, secret: str) -> None:
    webhook.secret = sealing.stored_form(Path(config.current().home), secret, PURPOSE.format(key=webhook.pk))
    webhook.save(update_fields=["secret"])


def _kinds(kinds: Collection[str]) -> list[str]:
    chosen = sorted(set(kinds) or known_kinds())
    if unknown := set(chosen) - known_kinds():
        raise BadWebhook(
            f"No such kind: {', '.join(sorted(unknown))[:200]}.", remedy=f"Choose from: {', '.join(sorted(known_kinds()))}."
        )
    return chosen


def _now() -> int:
    """The position of the last fact there is now."""
    raw = of_request()
    feed.number(raw)
    return feed.ends(raw)[1]


def _shown(webhook: Webhook) -> Json:
    return {"url": webhook.url, "kinds": list(webhook.kinds), "enabled": webhook.enabled}
