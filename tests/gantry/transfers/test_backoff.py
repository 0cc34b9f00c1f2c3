"""The back-off, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.transfers.backoff import ceiling, delay


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (10, 2560), (11, 3600), (12, 3600), (10_000, 3600)],
)
def test_ceiling_doubles_up_to_the_cap(attempts: int, expected: float) -> None:
    assert ceiling(attempts, first=5, cap=3600) == expected


def test_a_first_delay_above_the_cap_is_the_cap() -> None:
    assert ceiling(1, first=10, cap=2) == 2


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
def test_the_delay_is_a_share_of_the_ceiling(attempts: int, draw: float) -> None:
    longest = ceiling(attempts, first=5, cap=3600)
    assert delay(attempts, first=5, cap=3600, draw=draw) == longest * draw
    assert 0 <= delay(attempts, first=5, cap=3600, draw=draw) <= longest
