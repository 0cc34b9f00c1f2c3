"""What can go wrong at the receiver's desk.

ReceiverError
├── BadCaller       a field of the caller has an impossible value
├── CallerMissing   there is no caller of this AE title
└── IndexAway       the database does not answer, or all connections are taken
"""

from __future__ import annotations


class ReceiverError(Exception):
    """Something about the receiver is wrong; the message says what and what to do."""


class BadCaller(ReceiverError, ValueError):
    """A field of the caller has a value that cannot work."""


class CallerMissing(ReceiverError):
    """There is no caller of this AE title."""


class IndexAway(ReceiverError):
    """The index cannot be asked now."""
