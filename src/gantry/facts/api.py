"""Routes: what happened, as pages by cursor, and live."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from gantry.accounts.connection import of_request
from gantry.accounts.errors import Invalid
from gantry.accounts.route import actor_of, may
from gantry.facts import feed, live
from gantry.facts.schemas import ChangePage, ChangesQuery, EventsQuery
from gantry.facts.visible import known_kinds, visible_kinds

router = Router(tags=["live"])


def _wanted(request: HttpRequest, text: str) -> list[str]:
    wanted = {word.strip() for word in text.split(",") if word.strip()}
    if unknown := wanted - known_kinds():
        raise Invalid(
            f"No such kind: {', '.join(sorted(unknown))[:200]}.", remedy=f"Choose from: {', '.join(sorted(known_kinds()))}."
        )
    return visible_kinds(actor_of(request), wanted)


@router.get("/changes", auth=may("changes.view"), response=ChangePage, summary="Follow what happens")
def list_changes(request: HttpRequest, query: Query[ChangesQuery]) -> dict[str, Any]:
    """What happened after a position, oldest first. Nothing is ever added before what you have seen."""
    found = feed.read(of_request(), query.after, _wanted(request, query.kinds), query.limit)
    return {"items": found, "next": _next(request, found[-1].id) if len(found) == query.limit else None}


def _next(request: HttpRequest, after: int) -> str:
    query = request.GET.copy()
    query["after"] = str(after)
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


_STREAM = {
    "description": "Server-sent events: id, event (the kind), data (the same as in /changes)",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get("/events", auth=may("changes.view"), summary="What happens, live", openapi_extra={"responses": {200: _STREAM}})
def events(request: HttpRequest, query: Query[EventsQuery]) -> HttpResponse:
    """The change feed as server-sent events. Without a position it begins now; Last-Event-ID goes on from there.

    The connection ends when the session or token does. `event: reset` says that the position is no longer known.
    """
    header = request.headers.get("Last-Event-ID", "")
    after = int(header) if header.isdecimal() and len(header) < 19 else query.after
    live.open_stream(request, _wanted(request, query.kinds), after)
    return HttpResponse(content_type="text/event-stream")
