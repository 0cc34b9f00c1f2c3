"""What can go wrong with transfers.

TransferError
├── StudyMissing     there is no study of this UID
├── DeliveryMissing  there is no delivery of this number
├── BadFilter        a filter of the ledger has an impossible value
├── LinkClosed       the bandwidth calendar of the node lets nothing through now
└── LedgerLost       the database stayed away longer than results may wait in memory
"""

from __future__ import annotations


class TransferError(Exception):
    """Something about a transfer is wrong; the message says what and what to do."""


class StudyMissing(TransferError):
    """There is no study of this UID."""

    remedy = "`gantry studies` finds it by patient, date or number"


class DeliveryMissing(TransferError):
    """There is no delivery of this number."""


class BadFilter(TransferError, ValueError):
    """A filter of the ledger has an impossible value."""


class LinkClosed(TransferError):
    """The bandwidth calendar of the node lets nothing through now but what is urgent."""

    remedy = "Wait, or send it all the same with --urgent: that is in the audit"


class LedgerLost(TransferError):
    """The database stayed away too long; what was sent meanwhile will be sent again."""
