"""Unique identifiers (PS3.5 chapter 9)."""

from __future__ import annotations

import re

MAX_UID_LENGTH = 64

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")


def normalise_uid(text: str) -> str:
    """A UID without its padding: trailing NULs (PS3.5 6.2, UI) and the spaces some senders use."""
    return text.rstrip("\0 ")


def is_valid_uid(text: str) -> bool:
    """Digits and single dots, at most 64 characters. Leading zeros pass: see has_leading_zero."""
    return 0 < len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None


def has_leading_zero(uid: str) -> bool:
    """True when a component begins with a zero that PS3.5 9.1 forbids."""
    return _LEADING_ZERO.search(uid) is not None
