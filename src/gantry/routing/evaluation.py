"""Does a condition hold for the values of an instance? Pure, and bounded in time."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import regex

from gantry.routing.conditions import MOMENTS, NUMBERS, WEEKDAYS, Condition, split_window, vr_of

Values = Mapping[str, str | list[str]]
#: How long one regular expression may search in one value, seconds. Beyond it does not match and is reported.
REGEX_SECONDS = 0.05
#: Characters of a value that are looked at; indexed attributes are far shorter (PS3.5 6.2).
_VALUE_LIMIT = 10_240
Test = Callable[[str], bool]


class RegexTimeout(Exception):
    """A regular expression took too long; the condition counts as not met."""


def holds(condition: Condition, values: Values) -> bool:
    """Whether any value of the attribute meets the condition; an absent attribute has the one value ''.

    Text is compared as DICOM does: case counts, except in person names. Raises RegexTimeout.
    """
    found = values.get(condition.keyword, "")
    candidates = found if isinstance(found, list) else [found]
    test = _compiled(condition)
    return any(test(shown(value)) for value in (candidates or [""]))


def shown(value: object) -> str:
    """A value as it is compared: without padding, and no longer than a value may be."""
    return str(value).strip(" \0")[:_VALUE_LIMIT]


def test_of(condition: Condition) -> Test:
    """The test of one value of the attribute, padding and all. It raises RegexTimeout."""
    test = _compiled(condition)
    return lambda value: test(shown(value))


@lru_cache(maxsize=4096)
def _compiled(condition: Condition) -> Test:
    vr = vr_of(condition.keyword)
    return {
        "equals": _any_of,
        "in": _any_of,
        "wildcard": _wildcard,
        "range": _range,
        "regex": _regex,
        "network": _network,
        "window": _window,
        "days": _any_of,
    }[condition.operator](condition, vr)


def _any_of(condition: Condition, vr: str) -> Test:
    if vr in NUMBERS:
        numbers = {_number(value) for value in condition.values} - {None}
        texts = frozenset(condition.values)
        return lambda value: value in texts or _number(value) in numbers
    if vr == "PN":
        names = frozenset(value.casefold() for value in condition.values)
        return lambda value: value.casefold() in names
    wanted = frozenset(condition.values)
    return wanted.__contains__


def _wildcard(condition: Condition, vr: str) -> Test:
    flags = re.DOTALL | (re.IGNORECASE if vr == "PN" else 0)
    patterns = [re.compile(_wildcard_pattern(value), flags) for value in condition.values]
    return lambda value: any(pattern.fullmatch(value) for pattern in patterns)


def _wildcard_pattern(text: str) -> str:
    # Between two `*` the first fit is the right one, so each part is atomic: linear, never catastrophic.
    # (Atomic groups exist in `re` from 3.11.) The tail after the last `*` must be found at the end.
    head, *rest = [_literal(part) for part in re.split(r"\*+", text)]
    if not rest:
        return head
    middle, tail = rest[:-1], rest[-1]
    return head + "".join(f"(?>.*?{part})" for part in middle if part) + (f".*{tail}" if tail else ".*")


def _literal(text: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in text)


def _range(condition: Condition, vr: str) -> Test:
    low, high = condition.values
    if vr in MOMENTS:
        # ACR-NEMA wrote 2024.01.31 and 23:59:59 (PS3.5 6.2 asks us to read both).
        drop = str.maketrans("", "", ".-" if vr == "DA" else ":")
        return lambda value: _moment_in(value.translate(drop), low, high)
    least, most = _number(low), _number(high)

    def inside(value: str) -> bool:
        number = _number(value)
        return number is not None and (least is None or number >= least) and (most is None or number <= most)

    return inside


def _moment_in(digits: str, low: str, high: str) -> bool:
    # Digits sort as moments do; an end that is less precise than the value covers all of its span.
    if not digits[:2].isdigit():
        return False
    return digits[: len(low)] >= low[: len(digits)] and (not high or digits[: len(high)] <= high)


def _regex(condition: Condition, _vr: str) -> Test:
    pattern: regex.Pattern[str] = regex.compile(condition.values[0])

    def search(value: str) -> bool:
        try:
            return pattern.search(value, timeout=REGEX_SECONDS) is not None
        except TimeoutError as error:
            raise RegexTimeout(
                f"{condition.keyword}: the regular expression took longer than {REGEX_SECONDS * 1000:.0f} ms"
            ) from error

    return search


def _network(condition: Condition, _vr: str) -> Test:
    networks = [ipaddress.ip_network(value, strict=False) for value in condition.values]

    def inside(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value.strip("[]").partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.0.0.5, from a socket for both families
        return any((mapped or address) in network for network in networks)

    return inside


def _window(condition: Condition, _vr: str) -> Test:
    windows = [split_window(value) for value in condition.values]

    def inside(value: str) -> bool:
        day, _, clock = value.partition(" ")
        if day not in WEEKDAYS or not clock[:2].isdigit():
            return False
        minute = int(clock[:2]) * 60 + int(clock[3:5])
        before = WEEKDAYS[WEEKDAYS.index(day) - 1]
        for days, low, high in windows:
            if low < high:
                hit = low <= minute < high and (not days or day in days)
            else:  # over midnight: it belongs to the day on which it began
                hit = (minute >= low and (not days or day in days)) or (minute < high and (not days or before in days))
            if hit:
                return True
        return False

    return inside


@lru_cache(maxsize=4096)
def _local(minute: int, zone: str) -> dict[str, str]:
    local = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
    day = WEEKDAYS[local.weekday()]
    return {"time": f"{day} {local:%H:%M}", "weekday": day}


def moment_values(at: datetime, zone: str) -> Mapping[str, str]:
    """`time` and `weekday` of a moment on the clock on the wall in this time zone, daylight saving time and all."""
    return _local(int(at.timestamp()) // 60, zone)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number == number else None  # noqa: PLR0124  NaN equals nothing, so it is no number here
