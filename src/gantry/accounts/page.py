"""Lists in pages: `?limit=` and an opaque `?cursor=`, answered as {"items": [...], "next": URL or null}."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from ninja import Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from gantry.accounts.errors import Invalid

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Model)

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
#: Room for a keyset of two UIDs; a cursor is ours, so a longer one is nobody's.
MAX_CURSOR = 512


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


#: Text that PostgreSQL can hold.
Text = Annotated[str, AfterValidator(_no_nul), Field(max_length=1024)]


def _in_utc(moment: datetime) -> datetime:
    """PostgreSQL takes no offset beyond 16 hours, and a year before 1 cannot be shown."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


#: A point in time with its offset, as asked for; in UTC for the database.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
#: A digest as the database has it, shown in hexadecimal.
Digest = Annotated[str, BeforeValidator(lambda value: value if isinstance(value, str) else bytes(value).hex())]
#: PS3.5 9.1: digits and dots, at most 64 characters. Leading zeros are let pass, as at the way in.
Uid = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, examples=["1.2.840.113619.2.55.3.1"])]
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Items per page")]
Cursor = Annotated[Text, Field(max_length=MAX_CURSOR, description="Where the page begins: take it from `next`")]


class PageQuery(Schema):
    """The two parameters of every list."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = ""


class Page(Schema, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = Field(
        default=None, description="URL of the next page; null on the last one",
        examples=["http://127.0.0.1:8080/api/v1/studies?limit=100&cursor=MTIz"],
    )  # fmt: skip


def next_url(request: HttpRequest, cursor: str | None) -> str | None:
    """The URL of this request with another cursor; None when there is none."""
    if not cursor:
        return None
    query = request.GET.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def pack(position: int) -> str:
    """A row id as a cursor."""
    return base64.urlsafe_b64encode(str(position).encode("ascii")).decode("ascii").rstrip("=")


def unpack(cursor: str) -> int:
    """The row id of a cursor. Raises Invalid for one that we did not make."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        position = int(text) if text.isdecimal() else -1
    except (binascii.Error, ValueError):
        position = -1
    if not 0 <= position < 2**63:
        raise Invalid("The cursor is none of ours.", remedy="Take it from `next` of the page before.")
    return position


def by_id(rows: QuerySet[Row], query: PageQuery, *, newest_first: bool) -> tuple[Sequence[Row], str | None]:
    """A page of rows in the order of their ids, and the cursor of the next (None: this is the last)."""
    if query.cursor:
        position = unpack(query.cursor)
        rows = rows.filter(pk__lt=position) if newest_first else rows.filter(pk__gt=position)
    found = list(rows.order_by("-pk" if newest_first else "pk")[: query.limit + 1])
    if len(found) <= query.limit:
        return found, None
    found = found[: query.limit]
    return found, pack(found[-1].pk)


def answer(request: HttpRequest, items: Iterable[Any], cursor: str | None) -> dict[str, Any]:
    """The body of a page."""
    return {"items": list(items), "next": next_url(request, cursor)}
