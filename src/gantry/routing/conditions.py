"""Conditions: the written form ('Modality=CT,MR'), the stored form (JSON), and their checks."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import regex

from gantry.dataset.tags import INDEXED_KEYWORDS
from gantry.routing.errors import BadCondition

Operator = Literal["equals", "in", "wildcard", "range", "regex", "network", "window", "days"]

#: What a rule may ask besides the indexed attributes: how the instance came to us. Value: its VR.
ENVELOPE_KEYWORDS: Mapping[str, str] = {
    "CallingAET": "AE",
    "CalledAET": "AE",
    "RemoteAddress": "LO",
    "Origin": "CS",
}
#: What is known of a study once it is complete; only rules that wait for the study may ask (PS3.4 C.3.4).
STUDY_KEYWORDS: Mapping[str, str] = {
    "NumberOfStudyRelatedInstances": "IS",
    "NumberOfStudyRelatedSeries": "IS",
    "ModalitiesInStudy": "CS",
}
#: When the instance arrived, in the time zone of the site.
MOMENT_KEYWORDS: Mapping[str, str] = {"time": "window", "weekday": "days"}
#: As weekday() counts.
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALIASES = {"address": "RemoteAddress"}
#: Value representations that are compared as numbers; dates and times are compared as padded digits.
NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"})
MOMENTS = frozenset({"DA", "TM", "DT"})
_PATTERN_LIMIT = 500
_VALUES_LIMIT = 1000
_WRITTEN = re.compile(r"\s*(?P<keyword>[A-Za-z0-9]*)\s*(?P<sign>!=|=|~|.?)(?P<value>.*)", re.DOTALL | re.ASCII)
_SPOKEN = re.compile(r"\s*(?P<keyword>time|weekday|address)\s+(?P<value>[^=~!\s].*)", re.DOTALL | re.ASCII)
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z, -]+) )?\s*(?P<low>(?:[01]?\d|2[0-3]):[0-5]\d)\s*-\s*(?P<high>(?:[01]?\d|2[0-3]):[0-5]\d|24:00)", re.ASCII
)
_NUMBER = r"-?\d+(?:\.\d+)?"
_NUMBER_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})?\s*(?:\.\.|(?<=\d)-)\s*(?P<high>{_NUMBER})?\s*", re.ASCII)
_MOMENT_RANGE = re.compile(r"\s*(?P<low>[\d.]+?)?\s*(?:\.\.|-)\s*(?P<high>\d[\d.]*)?\s*", re.ASCII)
_MOMENT = {
    "DA": re.compile(r"\d{4}(\d{2}(\d{2})?)?", re.ASCII),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", re.ASCII),
    "DT": re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `values`: one text (equals, regex), several (in, wildcard, network, window, days), or low and high
    (range, '' = open)."""

    keyword: str
    operator: Operator
    values: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The stored form, `{"keyword", "operator", "value"}`."""
        single = self.operator in {"equals", "regex"}
        return {
            "keyword": self.keyword,
            "operator": self.operator,
            "value": self.values[0] if single else list(self.values),
        }

    def __str__(self) -> str:
        if self.operator == "regex":
            return f"{self.keyword}~{self.values[0]}"
        return f"{self.keyword}={('..' if self.operator == 'range' else ',').join(self.values)}"


def vr_of(keyword: str) -> str:
    """The value representation a keyword is compared by. Raises BadCondition with near keywords."""
    for known in (ENVELOPE_KEYWORDS, STUDY_KEYWORDS, MOMENT_KEYWORDS):
        if keyword in known:
            return known[keyword]
    indexed = INDEXED_KEYWORDS.get(keyword)
    if indexed is None:
        raise BadCondition(f"{keyword[:64]!r} is no keyword a rule can ask for{_suggestion(keyword)}")
    return indexed.vr


def operators_of(keyword: str) -> tuple[Operator, ...]:
    """What can be asked of a keyword, the usual first. Raises BadCondition."""
    vr = vr_of(keyword)
    if keyword in MOMENT_KEYWORDS:
        return ("window",) if keyword == "time" else ("days",)
    found: list[Operator] = ["equals", "in"]
    if vr in NUMBERS | MOMENTS:
        found.insert(0, "range")
    if keyword == "RemoteAddress":
        found.append("network")
    return (*found, "wildcard", "regex")


def _suggestion(keyword: str) -> str:
    known = {name.lower(): name for name in (*ENVELOPE_KEYWORDS, *STUDY_KEYWORDS, *MOMENT_KEYWORDS, *INDEXED_KEYWORDS)}
    near = difflib.get_close_matches(keyword[:64].lower(), known, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(known[name] for name in near)}?" if near else "; see `gantry rule keywords`"


def parse(text: str) -> Condition:
    """Read the written form.

    `Modality=CT` equals, `Modality=CT,MR` any of, `CallingAET=CT*` wildcard (`*` any text, `?` one character),
    `StudyDate=20240101-20241231` range (also `20240101-`, `-20241231`, `low..high`), `PatientID~^PB` regular
    expression (found anywhere unless anchored), `RemoteAddress=10.0.0.0/8` network, `time 22:00-06:00` and
    `weekday mon-fri` in the time zone of the site. Raises BadCondition.
    """
    spoken = _SPOKEN.fullmatch(text)
    if spoken is not None:
        text = f"{_ALIASES.get(spoken['keyword'], spoken['keyword'])}={spoken['value']}"
    match = _WRITTEN.fullmatch(text)
    if match is None or match["sign"] not in {"=", "~", "!="}:
        raise BadCondition(
            f"{text[:80]!r} is no condition: write Keyword=value, Keyword=a,b, Keyword=A*, Keyword=low-high or Keyword~regex"
        )
    keyword, sign, value = match["keyword"], match["sign"], match["value"].strip()
    vr = vr_of(keyword)
    if sign == "!=":
        raise BadCondition(f"{text[:80]!r}: '!=' is not known inside of one condition; write `not {keyword}={value[:40]}`")
    if sign == "~":
        return checked(Condition(keyword, "regex", (value,)))
    return checked(_from_value(keyword, vr, value))


def _from_value(keyword: str, vr: str, value: str) -> Condition:
    if keyword == "weekday":
        return Condition(keyword, "days", tuple(_days(value)))
    if keyword == "time":
        return Condition(keyword, "window", tuple(_windows(value)))
    if keyword == "RemoteAddress" and "/" in value:
        return Condition(keyword, "network", tuple(part.strip() for part in value.split(",")))
    split = split_range(vr, value)
    if split is not None:
        return Condition(keyword, "range", split)
    values = tuple(part.strip() for part in value.split(","))
    if any("*" in part or "?" in part for part in values):
        return Condition(keyword, "wildcard", values)
    return Condition(keyword, "in" if len(values) > 1 else "equals", values)


def _days(text: str) -> list[str]:
    """'mon-fri,sun' as single days in the order of the week. Raises BadCondition."""
    found: set[str] = set()
    for part in text.lower().split(","):
        first, _, last = (word.strip()[:3] if word.strip() else "" for word in part.partition("-"))
        last = last if "-" in part else first
        if first not in WEEKDAYS or last not in WEEKDAYS:
            raise BadCondition(f"{part.strip()[:40]!r} is no weekday: write mon-fri or sat,sun")
        begin, length = WEEKDAYS.index(first), (WEEKDAYS.index(last) - WEEKDAYS.index(first)) % 7 + 1
        found |= {WEEKDAYS[(begin + day) % 7] for day in range(length)}
    return [day for day in WEEKDAYS if day in found]


def _windows(text: str) -> list[str]:
    """'fri 22:00-06:00, 12:00-13:00' as single windows; days before a window are those on which it begins."""
    windows: list[str] = []
    days = ""
    for part in text.lower().split(","):
        if ":" not in part:  # days that go on: 'mon,wed 08:00-12:00'
            days += part + ","
            continue
        windows.append(written_window(*split_window((days + part).strip())))
        days = ""
    if days:
        raise BadCondition(f"{text[:60]!r}: a window has a beginning and an end, as in 22:00-06:00")
    return windows


def split_window(text: str) -> tuple[tuple[str, ...], int, int]:
    """Days on which it begins (none: all), begin and end in minutes of the day. Raises BadCondition."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise BadCondition(f"{text[:60]!r} is no window: write 22:00-06:00, or mon-fri 08:00-17:00")
    low, high = (int(end[:-3]) * 60 + int(end[-2:]) for end in (match["low"], match["high"]))
    if low == high:
        raise BadCondition(f"{text[:60]!r}: the window has no length; a whole day is 00:00-24:00")
    return tuple(_days(match["days"])) if match["days"] else (), low, high


def written_window(days: Sequence[str], low: int, high: int) -> str:
    """The one spelling that is stored."""
    clock = f"{low // 60:02}:{low % 60:02}-{high // 60:02}:{high % 60:02}"
    return f"{','.join(days)} {clock}" if days else clock


def split_range(vr: str, value: str) -> tuple[str, str] | None:
    """(low, high) when the text is a range for this VR, else None. For numbers `-5` is minus five, `..5` a range."""
    pattern = _NUMBER_RANGE if vr in NUMBERS else _MOMENT_RANGE if vr in MOMENTS else None
    match = pattern.fullmatch(value) if pattern else None
    return (match["low"] or "", match["high"] or "") if match else None


def from_json(data: object) -> Condition:
    """Read the stored form. Raises BadCondition."""
    if not isinstance(data, Mapping) or set(data) != {"keyword", "operator", "value"}:
        raise BadCondition(f'a condition has "keyword", "operator" and "value", not {str(data)[:120]!r}')
    keyword, operator, value = data["keyword"], data["operator"], data["value"]
    if not isinstance(keyword, str) or operator not in get_args(Operator):
        raise BadCondition(f"operator {str(operator)[:40]!r} is not one of {', '.join(get_args(Operator))}")
    values = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not values or not all(isinstance(item, str) for item in values):
        raise BadCondition(f"{keyword[:64]}: the value must be text or a list of texts")
    return checked(Condition(keyword, cast("Operator", operator), values))


def checked(condition: Condition) -> Condition:
    """The condition itself if it can be evaluated. Raises BadCondition, naming the keyword."""
    vr = vr_of(condition.keyword)
    wanted = {"equals": 1, "regex": 1, "range": 2}.get(condition.operator)
    if wanted is not None and len(condition.values) != wanted:
        raise BadCondition(f"{condition.keyword}: {condition.operator} takes {wanted} value(s), not {len(condition.values)}")
    if len(condition.values) > _VALUES_LIMIT or any(len(value) > _PATTERN_LIMIT for value in condition.values):
        raise BadCondition(f"{condition.keyword}: at most {_VALUES_LIMIT} values of {_PATTERN_LIMIT} characters")
    if (condition.keyword in MOMENT_KEYWORDS) != (condition.operator in {"window", "days"}) or (
        condition.keyword in MOMENT_KEYWORDS and MOMENT_KEYWORDS[condition.keyword] != condition.operator
    ):
        raise BadCondition(f"{condition.keyword}: {condition.operator} cannot be asked of it")
    if any(not value.isprintable() and not _storable(value) for value in condition.values):
        raise BadCondition(f"{condition.keyword}: the value holds NUL, or half a character")
    if condition.operator == "regex":
        _check_regex(condition)
    elif condition.operator == "network":
        _check_network(condition)
    elif condition.operator == "window":
        for window in condition.values:
            split_window(window)
    elif condition.operator == "days":
        if not condition.values or set(condition.values) - set(WEEKDAYS):
            raise BadCondition(f"weekday: use {', '.join(WEEKDAYS)}")
    elif condition.operator == "range":
        _check_range(condition, vr)
    return condition


def _storable(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def _check_regex(condition: Condition) -> None:
    try:
        regex.compile(condition.values[0])
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadCondition(f"{condition.keyword}: {condition.values[0][:80]!r} is no regular expression: {error}") from error


def _check_network(condition: Condition) -> None:
    if condition.keyword != "RemoteAddress":
        raise BadCondition(f"{condition.keyword}: only RemoteAddress lies in a network")
    for value in condition.values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise BadCondition(f"RemoteAddress: {value[:60]!r} is no network, as in 10.0.0.0/8 or 2001:db8::/32") from error


def _check_range(condition: Condition, vr: str) -> None:
    keyword, (low, high) = condition.keyword, condition.values
    if vr not in NUMBERS | MOMENTS:
        raise BadCondition(f"{keyword}: a range needs a date, a time or a number; {keyword} is text")
    if not low and not high:
        raise BadCondition(f"{keyword}: a range needs at least one end")
    for end in (low, high):
        shape = _MOMENT.get(vr)
        if end and not (shape.fullmatch(end) if shape else re.fullmatch(_NUMBER, end, re.ASCII)):
            example = {"DA": "20241231", "TM": "235959", "DT": "20241231235959"}.get(vr, "12")
            raise BadCondition(f"{keyword}: {end[:40]!r} is not like {example}")
    if low and high and ((float(low) > float(high)) if vr in NUMBERS else (low > high and not high.startswith(low))):
        raise BadCondition(f"{keyword}: the range begins after its end ({low} .. {high})")
