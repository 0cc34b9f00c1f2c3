"""Whether who opened a live connection may still have it: the token holds, the session lives, the role allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest

from gantry.accounts.allowed import Actor, allowed
from gantry.accounts.errors import RequestRefused
from gantry.accounts.route import identify
from gantry.facts.visible import visible_kinds


@dataclass(frozen=True, slots=True)
class Standing:
    """How the client proved who it is, to be proved again; lives in memory only."""

    user_id: int | None
    authorization: str
    session_key: str

    @classmethod
    def of(cls, request: HttpRequest, actor: Actor) -> Standing:
        """What the request came with."""
        by_session = actor.via == "session"
        key = str(getattr(request.session, "session_key", "") or "") if by_session else ""
        return cls(actor.user_id, "" if by_session else request.headers.get("Authorization", ""), key)

    def holds(self, kinds: Sequence[str]) -> bool:
        """Whether the same request would be let in now and see the same. Asks the database."""
        request = HttpRequest()
        request.method = "GET"
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(self.session_key or None)
        request.user = auth.get_user(request)
        if self.authorization:
            request.META["HTTP_AUTHORIZATION"] = self.authorization
        try:
            actor = identify(request)
        except RequestRefused:
            return False
        return bool(allowed(actor, "changes.view")) and set(kinds) <= set(visible_kinds(actor))
