"""Why the change feed refuses.

RequestRefused
├── CursorGone     410  the cursor points before what is kept, or beyond what there is
└── TooManyLive    503  as many live connections as one process serves
"""

from __future__ import annotations

from gantry.accounts.errors import RequestRefused, Unavailable


class CursorGone(RequestRefused):
    """The feed does not go on from there: what followed was removed by age, or the database was restored."""

    status = 410
    code = "cursor_gone"
    remedy = "Read the state you need from its lists, then follow the feed from after=0."


class TooManyLive(Unavailable):
    """As many live connections are open as this process, or you, may have."""

    code = "too_many_live"
    remedy = "Close one, or ask GET /api/v1/changes now and then."
