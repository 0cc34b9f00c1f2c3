"""The bandwidth calendar: a table, over midnight, over the change of summer time."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gantry.nodes.calendar import parse_calendar
from gantry.nodes.errors import BadNode

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = parse_calendar("Mon-Fri 07:00-19:00 20 Mbit/s; * 0")
NIGHT = parse_calendar("Fri 22:00-06:00 off; * 8 Mbit/s")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("calendar", "when", "rate"),
    [
        (OFFICE, "2026-11-23T07:00", 2.5e6),  # a Monday
        (OFFICE, "2026-11-23T06:59", math.inf),
        (OFFICE, "2026-11-23T18:59", 2.5e6),
        (OFFICE, "2026-11-23T19:00", math.inf),
        (OFFICE, "2026-11-22T12:00", math.inf),  # a Sunday
        (NIGHT, "2026-11-20T21:59", 1e6),  # a Friday
        (NIGHT, "2026-11-20T22:00", 0),
        (NIGHT, "2026-11-21T05:59", 0),  # Saturday morning belongs to Friday's night
        (NIGHT, "2026-11-21T06:00", 1e6),
        (NIGHT, "2026-11-21T22:30", 1e6),
        (parse_calendar(""), "2026-11-21T22:30", math.inf),
        (parse_calendar("5 MB/s"), "2026-11-21T22:30", 5e6),
        (parse_calendar("off"), "2026-11-21T22:30", 0),
        (parse_calendar("sat,sun 1 Gbit/s; off"), "2026-11-21T22:30", 1.25e8),
        (parse_calendar("Sat-Mon 1 MB/s; off"), "2026-11-23T00:00", 1e6),
    ],
)
def test_rates(calendar, when, rate) -> None:
    assert calendar.rate_at(at(when), BERLIN) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text",
    ["Mon 20", "Mon-Foo 1 MB/s", "25:00-26:00 1 MB/s", "07:61-08:00 1 MB/s", "Mon 1 PB/s", "1 bit/s", "-5 MB/s", "; ".join(["0"] * 65),
     "24:00-01:00 off", "Mon 07:00 1 MB/s", "nan MB/s"],
)  # fmt: skip
def test_what_cannot_be_meant(text: str) -> None:
    with pytest.raises(BadNode, match="bandwidth"):
        parse_calendar(text)


def test_changes_follow_the_clock_on_the_wall() -> None:
    assert OFFICE.next_change(at("2026-11-20T12:00"), BERLIN) == at("2026-11-20T19:00")
    assert OFFICE.next_change(at("2026-11-20T20:00"), BERLIN) == at("2026-11-23T07:00")
    assert parse_calendar("0").next_change(at("2026-11-20T20:00"), BERLIN) is None
    # Summer time ends on 2026-10-25 at 03:00, which is 02:00 again: the window of that night is an hour longer.
    night = parse_calendar("* 01:00-04:00 1 MB/s; off")
    before = at("2026-10-25T00:00").astimezone(UTC)
    opens = night.next_change(before, BERLIN)
    closes = night.next_change(opens, BERLIN)
    assert closes - opens == timedelta(hours=4)
    # It begins on 2026-03-29: 02:00 is 03:00.
    opens = night.next_change(at("2026-03-29T00:00").astimezone(UTC), BERLIN)
    assert night.next_change(opens, BERLIN) - opens == timedelta(hours=2)
    # A window that begins in the hour that is skipped begins with the hour after it.
    gap = parse_calendar("* 02:30-05:00 1 MB/s; off")
    assert gap.next_change(at("2026-03-29T00:00").astimezone(UTC), BERLIN) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_expected_finish_waits_for_the_window() -> None:
    friday = at("2026-11-20T18:00").astimezone(UTC)
    assert OFFICE.finish(2.5e6 * 60, 100e6, friday, BERLIN) == friday + timedelta(seconds=60)
    # An hour at 20 Mbit/s, the rest without limit at the speed that was seen.
    assert OFFICE.finish(2.5e6 * 3600 + 100e6, 100e6, friday, BERLIN) == friday + timedelta(seconds=3601)
    assert OFFICE.finish(1e9, None, friday + timedelta(hours=3), BERLIN) is None, "no speed is known"
    closed = parse_calendar("Mon 08:00-09:00 1 MB/s; off")
    assert closed.finish(1e6, 5e6, friday, BERLIN) == at("2026-11-23T08:00") + timedelta(seconds=1)
    assert parse_calendar("off").finish(1, 1e6, friday, BERLIN) is None
