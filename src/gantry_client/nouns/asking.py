"""How every noun asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from gantry_client.errors import GantryClientError
from gantry_client.http import Connector, with_query
from gantry_client.models import read

API = "/api/v1"
T = TypeVar("T")


class Asking:
    """What the nouns share: a connector, and answers that become records."""

    _http: Connector

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._http.ask(method, API + path, body)

    def _one(self, kind: type[T], method: str, path: str, body: Any = None) -> T:
        return record(kind, self._http.ask(method, API + path, body))

    def _all(self, kind: type[T], path: str, values: dict[str, object], *, limit: int | None = 1000) -> Iterator[T]:
        where: str | None = with_query(API + path, {"limit": limit, **values})
        while where:
            page = self._http.ask("GET", where)
            for item in items_of(page):
                yield record(kind, item)
            where = next_of(page, API + path)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)


def items_of(page: Any) -> list[Any]:
    """The rows of a page. Raises GantryClientError."""
    if not isinstance(page, dict) or not isinstance(page.get("items"), list):
        raise GantryClientError("The answer is no page; is this a Gantry server?")
    return list(page["items"])


def next_of(page: dict[str, Any], path: str) -> str | None:
    """Where the next page is. Only the query of it is taken: the token goes to no other host, whatever an answer says."""
    return f"{path}?{urlsplit(page['next']).query}" if page.get("next") else None


def part(text: str) -> str:
    """Text as one part of a path."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot name anything")
    return quote(text, safe="")


def given(**values: Any) -> dict[str, Any]:
    """A body of what was given."""
    return {name: value for name, value in values.items() if value is not None}


def record(kind: type[T], content: Any) -> T:
    """An answer, typed. Raises GantryClientError."""
    try:
        return read(kind, content)
    except (ValueError, TypeError) as error:
        raise GantryClientError(f"The answer cannot be understood: {error}. Is this a Gantry server of our version?") from error
