"""A calendar of bandwidth limits in the time zone of the site: `Mon-Fri 07:00-19:00 20 Mbit/s; * 0`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from gantry.nodes.errors import BadNode

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {
    "bit/s": 1 / 8, "kbit/s": 1e3 / 8, "mbit/s": 1e6 / 8, "gbit/s": 1e9 / 8,
    "b/s": 1.0, "kb/s": 1e3, "mb/s": 1e6, "gb/s": 1e9,
}  # fmt: skip
_RATE = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)\s*(?P<unit>[A-Za-z]+/s)", re.ASCII)
_HOURS = re.compile(r"(?P<h1>\d{1,2}):(?P<m1>\d{2})-(?P<h2>\d{1,2}):(?P<m2>\d{2})", re.ASCII)
_DAY_MINUTES = 24 * 60
_ENTRIES = 64
_LOOK_AHEAD = timedelta(days=8)
_STEP = timedelta(minutes=15)  # every time zone of today changes its offset at a quarter of an hour
_EXAMPLE = "write it as in 'Mon-Fri 07:00-19:00 20 Mbit/s; * 0' (0: no limit, off: nothing but urgent work)"
#: Estimates look no further than this.
_HORIZON = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Window:
    """Some days, from `begin` to `end` (minutes of the day; past midnight when `end` is not later) and the rate then.

    The days are those on which the window begins. `rate` in bytes per second: 0 is closed, infinite is no limit.
    """

    days: frozenset[int]
    begin: int
    end: int
    rate: float

    def holds(self, day: int, minute: int) -> bool:
        """Whether a wall-clock time lies in it."""
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Windows; the first that holds counts, and outside all of them there is no limit."""

    windows: tuple[Window, ...] = ()

    def rate_at(self, moment: datetime, zone: tzinfo) -> float:
        """Bytes per second at a moment: 0 is closed, infinite is no limit. By the clock on the wall of the zone: where
        summer time skips an hour, its part of a window does not exist; where an hour comes twice, it counts twice."""
        local = moment.astimezone(zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        return next((window.rate for window in self.windows if window.holds(day, minute)), math.inf)

    def next_change(self, moment: datetime, zone: tzinfo) -> datetime | None:
        """When the rate changes next; None: never."""
        if not self.windows:
            return None
        now = self.rate_at(moment, zone)
        return next((at for at in self._moments(moment, zone) if self.rate_at(at, zone) != now), None)

    def _moments(self, moment: datetime, zone: tzinfo) -> list[datetime]:
        """Every moment of the next days at which the rate may change."""
        start = moment.replace(minute=0, second=0, microsecond=0)
        found = {start + _STEP * number for number in range(int(_LOOK_AHEAD / _STEP))}
        midnight = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for window in self.windows:
            for minutes in {window.begin, window.end}:
                for day in range(_LOOK_AHEAD.days):
                    wall = midnight + timedelta(days=day, minutes=minutes)  # arithmetic on the wall clock
                    found |= {wall.replace(fold=fold).astimezone(moment.tzinfo) for fold in (0, 1)}
        return sorted(at for at in found if at > moment)

    def finish(self, size: float, speed: float | None, moment: datetime, zone: tzinfo) -> datetime | None:
        """When `size` bytes are through, at `speed` bytes per second where the calendar allows as much.

        None: it cannot be told (no speed is known and there is no limit), or not within 60 days.
        """
        at, left = moment, size
        while at - moment < _HORIZON:
            rate = min(self.rate_at(at, zone), math.inf if speed is None else speed)
            change = self.next_change(at, zone)
            if math.isinf(rate) and left > 0:
                return None
            seconds = left / rate if rate > 0 else (0.0 if left <= 0 else math.inf)
            if change is None or seconds <= (change - at).total_seconds():
                return at + timedelta(seconds=seconds) if seconds < _HORIZON.total_seconds() else None
            left -= rate * (change - at).total_seconds()
            at = change
        return None


NO_LIMIT = Calendar()


@lru_cache(maxsize=256)
def parse_calendar(text: str) -> Calendar:
    """Read one; empty is none. Raises BadNode with the entry that is wrong."""
    entries = [entry.strip() for entry in text.split(";") if entry.strip()]
    if len(entries) > _ENTRIES:
        raise BadNode(f"the bandwidth calendar has {len(entries)} entries; {_ENTRIES} are allowed")
    return Calendar(tuple(_window(entry) for entry in entries))


def _window(entry: str) -> Window:
    words = entry.split()
    days, begin, end = frozenset(range(7)), 0, _DAY_MINUTES
    if words and not words[0][0].isdigit() and words[0].lower() != "off":
        days = _days(words.pop(0), entry)
    if words and (match := _HOURS.fullmatch(words[0])):
        words.pop(0)
        begin, end = _minutes(match["h1"], match["m1"], entry), _minutes(match["h2"], match["m2"], entry)
        if begin == _DAY_MINUTES:
            raise _bad(entry, "a window begins before 24:00")
    return Window(days, begin, end, _rate(" ".join(words), entry))


def _days(text: str, entry: str) -> frozenset[int]:
    if text == "*":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last and last not in DAYS):
            raise _bad(entry, f"{part[:20]!r} is no weekday (Mon Tue Wed Thu Fri Sat Sun, Mon-Fri, or *)")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(found)


def _minutes(hour: str, minute: str, entry: str) -> int:
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > _DAY_MINUTES:
        raise _bad(entry, f"{hour}:{minute} is no time of the day")
    return total


def _rate(text: str, entry: str) -> float:
    if text == "0":
        return math.inf
    if text.lower() == "off":
        return 0.0
    match = _RATE.fullmatch(text)
    if match is None or match["unit"].lower() not in _UNITS:
        raise _bad(entry, f"{text[:30]!r} is no rate (0, off, or a number with bit/s, kbit/s, Mbit/s, Gbit/s, kB/s, MB/s)")
    rate = float(match["number"]) * _UNITS[match["unit"].lower()]
    if rate < 1000:
        raise _bad(entry, "less than 8 kbit/s is no rate for images; use off")
    return rate


def _bad(entry: str, why: str) -> BadNode:
    return BadNode(f"bandwidth {entry[:60]!r}: {why}; {_EXAMPLE}")
