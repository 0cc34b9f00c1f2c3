"""Routes: the audit. They are here because the room stands below accounts, so that every room may write into it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from gantry import config, database
from gantry.accounts import connection as requests
from gantry.accounts import trail
from gantry.accounts.errors import Conflict
from gantry.accounts.page import Moment, Page, PageQuery, RowId, Text, answer, by_id
from gantry.accounts.route import may
from gantry.audit import record
from gantry.audit.export import export
from gantry.audit.find import Question, find
from gantry.main.audit_stream import Check, Lines

router = Router(tags=["audit"])


class Span(Schema):
    """A span of time."""

    since: Moment | None = Field(default=None, description="From then on", examples=["2026-11-01T00:00:00Z"])
    until: Moment | None = Field(default=None, description="Before then", examples=["2026-12-01T00:00:00Z"])


class AuditQuery(PageQuery, Span):
    """What to list; what is left out is not asked."""

    who: Text = Field(default="", examples=["alice"])
    user_id: RowId | None = None
    act: Text = Field(default="", description="A whole act (node.edit) or its noun (node)", examples=["node.edit"])
    study_uid: Text = Field(default="", examples=["1.2.840.113619.2.55.3.1"])
    patient_id: Text = Field(default="", examples=["4711"])
    kind: Text = Field(default="", examples=["node"])
    key: Text = Field(default="", examples=["archive"])
    address: Text = Field(default="", examples=["192.0.2.7"])


class AuditEntry(Schema):
    """One act."""

    id: int
    at: datetime = Field(description="When, by the clock of the database")
    act: str = Field(examples=["node.edit"])
    who: str = Field(examples=["alice"])
    via: str = Field(description="session, token, cli, dicom or system", examples=["session"])
    user_id: int | None
    token_id: int | None
    address: str = Field(description="Where from; empty: this machine", examples=["192.0.2.7"])
    kind: str = Field(examples=["node"])
    key: str = Field(examples=["archive"])
    study_uid: str
    patient_id: str
    reason: str
    before: Any = None
    after: Any = None


class AuditPage(Page[AuditEntry]):
    """A page of entries."""


class ExportQuery(Span):
    """What to export."""

    format: Literal["jsonl", "csv"] = "jsonl"


@router.get("/audit", auth=may("audit.view"), response=AuditPage, summary="List audit entries")
def list_audit(request: HttpRequest, query: Query[AuditQuery]) -> dict[str, Any]:
    """Who did what, from where, to which patient's data; the newest first."""
    asked = query.dict(exclude={"limit", "cursor"})
    found, cursor = by_id(find(Question(**asked)), query, newest_first=True)
    return answer(request, found, cursor)


_LINES = {
    "description": "One entry a line, oldest first",
    "content": {"application/x-ndjson": {"schema": {"type": "string"}}, "text/csv": {"schema": {"type": "string"}}},
}


@router.get("/audit/export", auth=may("audit.view"), summary="Export audit entries", openapi_extra={"responses": {200: _LINES}})
def export_audit(request: HttpRequest, query: Query[ExportQuery]) -> StreamingHttpResponse:
    """All entries of a span of time with their place in the chain, streamed; the export itself is recorded."""
    with database.connect(autocommit=True, application="gantry-audit") as connection:
        after = {"format": query.format, "since": str(query.since or ""), "until": str(query.until or "")}
        record(connection, "audit.export", trail.by_request(request), after=after)
    lines = Lines(lambda connection: export(connection, query.format, since=query.since, until=query.until))
    kind = "text/csv; charset=utf-8" if query.format == "csv" else "application/x-ndjson"
    name = f'attachment; filename="audit.{query.format}"'
    return StreamingHttpResponse(lines, content_type=kind, headers={"Content-Disposition": name})


class ActPage(Page[str]):
    """Names of acts, on one page."""


@router.get("/audit/acts", auth=may("audit.view"), response=ActPage, summary="Which acts are there?")
def list_acts(request: HttpRequest) -> dict[str, Any]:
    """The name of every act that there is an entry of, in order."""
    rows = requests.of_request().execute(database.statements("gantry.audit")["acts"]).fetchall()
    return answer(request, (row[0] for row in rows), None)


_PROGRESS = {
    "description": 'Lines of JSON: `{"entries", "total"}` while it goes on, at last `{"result": {"ok", "entries", ...}}`',
    "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
}


@router.post("/audit/verify", auth=may("audit.view"), summary="Check the audit", openapi_extra={"responses": {200: _PROGRESS}})
def verify_audit(request: HttpRequest) -> StreamingHttpResponse:
    """Walk the chains: was an entry changed, removed, slipped in, or the end cut off? The outcome is recorded.

    It says how far it is while it reads, and ends when nobody listens. One at a time.
    """
    connection = database.connect(autocommit=True, application="gantry-audit")
    try:
        row = connection.execute(database.statements("gantry.audit")["alone"]).fetchone()
        if not (row and row[0]):
            raise Conflict("The audit is being checked already.", remedy="Wait until that check has ended.")
        check = Check(Path(config.current().home), trail.by_request(request), connection)
    except BaseException:
        connection.close()
        raise
    return StreamingHttpResponse(check, content_type="application/x-ndjson", headers={"Cache-Control": "no-store"})
