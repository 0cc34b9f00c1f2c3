"""Iterators and generators of a provider, asynchronous or plain."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable
from typing import Any

from dimse.aio.acceptor import settle
from dimse.errors import AssociationFailure
from dimse.operations import NormalisedAnswer

log = logging.getLogger(__name__)


async def close(iterator: Any) -> None:
    """Close one that can be closed; what that raises is only noted."""
    closing = getattr(iterator, "aclose", None) or getattr(iterator, "close", None)
    if closing is None:
        return
    try:
        await settle(closing())
    except Exception:
        log.exception("a provider could not be closed")


async def step(reports: Any, value: NormalisedAnswer | None) -> Any:
    """The next report of a generator, asynchronous or plain; None at its end."""
    try:
        if inspect.isasyncgen(reports):
            return await reports.asend(value)  # type: ignore[arg-type]  # inspect knows no types
        return reports.send(value)
    except (StopIteration, StopAsyncIteration):
        return None


async def throw(reports: Any, error: AssociationFailure) -> None:
    """Tell the provider that its report did not arrive."""
    try:
        thrown: Awaitable[Any] | Any = reports.athrow(error) if inspect.isasyncgen(reports) else reports.throw(error)
        await settle(thrown)
    except (StopIteration, StopAsyncIteration, AssociationFailure):
        return
    except Exception:
        log.exception("a report that did not arrive could not be noted")
