"""What can go wrong in intake.

IntakeError
└── NotHeld     nothing in quarantine has this id
"""

from __future__ import annotations


class IntakeError(Exception):
    """Intake cannot do what was asked."""


class NotHeld(IntakeError, LookupError):
    """Nothing in quarantine has this id, or it was discarded."""
