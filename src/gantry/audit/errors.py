"""What can go wrong with the audit.

AuditError
└── BadAnchor   the file of anchors cannot be read
"""

from __future__ import annotations


class AuditError(Exception):
    """The audit cannot do it."""


class BadAnchor(AuditError, ValueError):
    """The file of anchors cannot be read."""
