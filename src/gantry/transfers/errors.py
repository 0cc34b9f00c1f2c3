"""What can go wrong with transfers.

TransferError
├── StudyMissing     there is no study of this UID
├── BadFilter        a filter of the ledger has an impossible value
└── LedgerLost       the database stayed away longer than results may wait in memory
"""

from __future__ import annotations


class TransferError(Exception):
    """Something about a transfer is wrong; the message says what and what to do."""


class StudyMissing(TransferError):
    """There is no study of this UID."""


class BadFilter(TransferError, ValueError):
    """A filter of the ledger has an impossible value."""


class LedgerLost(TransferError):
    """The database stayed away too long; what was sent meanwhile will be sent again."""
