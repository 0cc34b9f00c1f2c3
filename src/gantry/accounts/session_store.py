"""Where sessions are kept: Django's store in the database, with whose a session is, so that it can be listed and ended."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.utils import timezone

from gantry.accounts.models import Session

#: How fine `last_used_at` is; each finer step would be one more write per request.
USE_NOTED_EVERY = timedelta(minutes=1)
#: Keys in the session's data for what the lists show.
ADDRESS, AGENT, SINCE = "gantry_address", "gantry_agent", "gantry_since"
_NAMESPACE = uuid.UUID("6f0d2f0e-2b1c-4f0a-9d5e-67616e747279")


def public_id(session_key: str) -> uuid.UUID:
    """What lists call a session by: it does not tell the key, which is random."""
    return uuid.uuid5(_NAMESPACE, session_key)


class SessionStore(DatabaseStore):
    """The SESSION_ENGINE `gantry.accounts.session_store`."""

    @classmethod
    def get_model_class(cls) -> Any:
        """Our table."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """The row of a session that is saved; its public id and start stay with it."""
        row = super().create_model_instance(data)
        assert isinstance(row, Session)
        user_id = data.get("_auth_user_id")
        row.user_id = int(user_id) if user_id is not None else None
        row.public_id = public_id(row.session_key)
        row.address = str(data.get(ADDRESS, ""))[:100]
        row.agent = str(data.get(AGENT, ""))[:200]
        row.last_used_at = timezone.now()
        row.created_at = datetime.fromisoformat(data[SINCE]) if data.get(SINCE) else row.last_used_at
        return row

    def _get_session_from_db(self) -> Any:
        row = super()._get_session_from_db()  # type: ignore[misc]  # the stubs leave it out
        if isinstance(row, Session):
            self._note_use(row)
        return row

    def _note_use(self, row: Session) -> None:
        now = timezone.now()
        if row.last_used_at is None or row.last_used_at <= now - USE_NOTED_EVERY:
            Session.objects.filter(pk=row.pk).update(last_used_at=now)
