"""What can go wrong with alerts and webhooks.

RequestRefused
├── BadWebhook      422  address, kinds or name cannot be used
├── WebhookMissing  404
└── AlertMissing    404
NotSent                  an attempt to deliver a notice failed
"""

from __future__ import annotations

from gantry.accounts.errors import Invalid, NotFound


class BadWebhook(Invalid):
    """The webhook cannot be like that."""

    code = "bad_webhook"


class WebhookMissing(NotFound):
    """There is no such webhook."""

    remedy = "`gantry webhook list` shows them."


class AlertMissing(NotFound):
    """There is no such alert that is not closed."""

    remedy = "`gantry alerts list` shows them."


class NotSent(Exception):
    """An attempt failed; the message says why, without what was sent. `gone`: the receiver wants no more (410)."""

    def __init__(self, explanation: str, status: int | None = None) -> None:
        super().__init__(explanation)
        self.status = status
        self.gone = status == 410
