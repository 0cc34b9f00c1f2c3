"""What can go wrong in intake.

IntakeError
├── NotHeld         nothing in quarantine has this id
├── NotAcceptable   a held object cannot be accepted as it is
├── VolumeUnknown   there is no volume of this name
└── BadVolume       a volume cannot be added or changed like this
"""

from __future__ import annotations


class IntakeError(Exception):
    """Intake cannot do what was asked."""


class NotHeld(IntakeError, LookupError):
    """Nothing in quarantine has this id, or it was discarded."""


class NotAcceptable(IntakeError, ValueError):
    """A held object cannot be accepted as it is; the text says what it lacks."""


class VolumeUnknown(IntakeError, LookupError):
    """There is no volume of this name."""


class BadVolume(IntakeError, ValueError):
    """A volume cannot be added or changed like this."""
