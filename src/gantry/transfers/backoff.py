"""How long to wait before the next attempt: exponential, capped, with full jitter. Pure."""

from __future__ import annotations

#: 2**40 seconds are 35 000 years; beyond that the doubling would only overflow.
_DOUBLINGS = 40


def ceiling(attempts: int, *, first: float, cap: float) -> float:
    """The longest wait after `attempts` failed attempts, seconds: `first` doubled each time, at most `cap`."""
    doublings = min(max(attempts - 1, 0), _DOUBLINGS)
    return min(cap, first * 2.0**doublings)


def delay(attempts: int, *, first: float, cap: float, draw: float) -> float:
    """The wait itself, seconds: `draw` (0 <= draw < 1, a random number) of the ceiling.

    Full jitter: destinations that came back are not met by everything at the same moment.
    """
    return ceiling(attempts, first=first, cap=cap) * draw
