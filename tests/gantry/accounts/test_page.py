"""What routes accept as a point in time, PostgreSQL can be asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from gantry.accounts.page import Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def test_offsets_beyond_those_of_postgresql() -> None:
    assert MOMENT.validate_python("2026-01-01T00:00:00+23:59") == datetime(2025, 12, 31, 0, 1, tzinfo=UTC)
    assert MOMENT.validate_python("2026-01-01T00:00:00+23:59").tzinfo is UTC


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2026-01-01T00:00:00"])
def test_what_cannot_be_shown_or_has_no_offset(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)
