"""Conditions: the written form ('Modality=CT,MR'), the stored form (JSON), and their checks."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import regex

from gantry.dataset.tags import INDEXED_KEYWORDS
from gantry.routing.errors import BadCondition

Operator = Literal["equals", "in", "wildcard", "range", "regex"]

#: What a rule may ask besides the indexed attributes: how the instance came to us. Value: its VR.
ENVELOPE_KEYWORDS: Mapping[str, str] = {
    "CallingAET": "AE",
    "CalledAET": "AE",
    "RemoteAddress": "LO",
    "Origin": "CS",
}
#: Value representations that are compared as numbers; dates and times are compared as padded digits.
NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"})
MOMENTS = frozenset({"DA", "TM", "DT"})
_PATTERN_LIMIT = 500
_VALUES_LIMIT = 1000
_WRITTEN = re.compile(r"\s*(?P<keyword>[A-Za-z0-9]*)\s*(?P<sign>!=|=|~|.?)(?P<value>.*)", re.DOTALL | re.ASCII)
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
    """One condition. `values`: one text (equals, regex), several (in, wildcard), or low and high (range, '' = open)."""

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
    if keyword in ENVELOPE_KEYWORDS:
        return ENVELOPE_KEYWORDS[keyword]
    indexed = INDEXED_KEYWORDS.get(keyword)
    if indexed is None:
        raise BadCondition(f"{keyword[:64]!r} is no keyword a rule can ask for{_suggestion(keyword)}")
    return indexed.vr


def _suggestion(keyword: str) -> str:
    known = {name.lower(): name for name in (*ENVELOPE_KEYWORDS, *INDEXED_KEYWORDS)}
    near = difflib.get_close_matches(keyword[:64].lower(), known, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(known[name] for name in near)}?" if near else "; see `gantry rule keywords`"


def parse(text: str) -> Condition:
    """Read the written form.

    `Modality=CT` equals, `Modality=CT,MR` any of, `CallingAET=CT*` wildcard (`*` any text, `?` one character),
    `StudyDate=20240101-20241231` range (also `20240101-`, `-20241231`, `low..high`), `PatientID~^PB` regular
    expression (found anywhere unless anchored). Raises BadCondition.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None or match["sign"] not in {"=", "~", "!="}:
        raise BadCondition(
            f"{text[:80]!r} is no condition: write Keyword=value, Keyword=a,b, Keyword=A*, Keyword=low-high or Keyword~regex"
        )
    keyword, sign, value = match["keyword"], match["sign"], match["value"].strip()
    vr = vr_of(keyword)
    if sign == "!=":
        raise BadCondition(f"{text[:80]!r}: '!=' is not known; use a regular expression such as {keyword}~^(?!CT$)")
    if sign == "~":
        return checked(Condition(keyword, "regex", (value,)))
    return checked(_from_value(keyword, vr, value))


def _from_value(keyword: str, vr: str, value: str) -> Condition:
    split = split_range(vr, value)
    if split is not None:
        return Condition(keyword, "range", split)
    values = tuple(part.strip() for part in value.split(","))
    if any("*" in part or "?" in part for part in values):
        return Condition(keyword, "wildcard", values)
    return Condition(keyword, "in" if len(values) > 1 else "equals", values)


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
    if condition.operator == "regex":
        _check_regex(condition)
    elif condition.operator == "range":
        _check_range(condition, vr)
    return condition


def _check_regex(condition: Condition) -> None:
    try:
        regex.compile(condition.values[0])
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise BadCondition(f"{condition.keyword}: {condition.values[0][:80]!r} is no regular expression: {error}") from error


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
