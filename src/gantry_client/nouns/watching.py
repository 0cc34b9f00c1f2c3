"""The audit, alerts, webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from gantry_client.nouns.asking import Asking, part
from gantry_client.records_watching import Alert, Attempt, AuditEntry, NewWebhook, Notice, Webhook


class Watching(Asking):
    """What was done, what is wrong, and who is told."""

    def audit(
        self, *, since: datetime | None = None, until: datetime | None = None, who: str | None = None, act: str | None = None,
        study_uid: str | None = None, patient_id: str | None = None, kind: str | None = None, key: str | None = None,
    ) -> Iterator[AuditEntry]:  # fmt: skip
        """Acts, the last first."""
        return self._all(AuditEntry, "/audit", {
            "since": None if since is None else since.isoformat(), "until": None if until is None else until.isoformat(),
            "who": who, "act": act, "study_uid": study_uid, "patient_id": patient_id, "kind": kind, "key": key,
        })  # fmt: skip

    def alerts(self, *, state: str | None = None) -> Iterator[Alert]:
        """What somebody should look at, the last first."""
        return self._all(Alert, "/alerts", {"state": state})

    def acknowledge(self, alert_id: int) -> Alert:
        """Somebody looks at it."""
        return self._one(Alert, "POST", f"/alerts/{alert_id}/acknowledge")

    def webhooks(self) -> Iterator[Webhook]:
        """Who is told of changes."""
        return self._all(Webhook, "/webhooks", {})

    def add_webhook(self, name: str, url: str, *, kinds: Sequence[str] = ()) -> NewWebhook:
        """Tell an address; the secret that signs is shown only now."""
        return self._one(NewWebhook, "POST", "/webhooks", {"name": name, "url": url, "kinds": list(kinds)})

    def change_webhook(self, name: str, **settings: Any) -> Webhook:
        """Change settings as in the API (url, kinds, enabled)."""
        return self._one(Webhook, "PATCH", f"/webhooks/{part(name)}", settings)

    def remove_webhook(self, name: str) -> None:
        """No longer. Raises NotFound."""
        self._ask("DELETE", f"/webhooks/{part(name)}")

    def test_webhook(self, name: str) -> Attempt:
        """Send it one now."""
        return self._one(Attempt, "POST", f"/webhooks/{part(name)}/test")

    def renew_webhook_secret(self, name: str) -> str:
        """A new secret; the old one no longer signs."""
        return str(self._ask("POST", f"/webhooks/{part(name)}/secret")["secret"])

    def notices(self, name: str) -> Iterator[Notice]:
        """What was sent to it, the last first."""
        return self._all(Notice, f"/webhooks/{part(name)}/notices", {})
