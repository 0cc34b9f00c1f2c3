"""What can go wrong with edits.

EditError
├── BadEdit      the declaration cannot be understood, or asks for what is never edited
└── CannotEdit   this object cannot be edited so; nothing of it may be sent

Messages name elements, never their values.
"""

from __future__ import annotations


class EditError(Exception):
    """Something about an edit is wrong; the message says what and what to do."""


class BadEdit(EditError, ValueError):
    """The declaration of an edit is wrong."""


class CannotEdit(EditError):
    """An object does not let itself be edited as declared."""
