"""Matching of PS3.4 C.2.2.2 as conditions of SQL. Values come from strangers and are only ever parameters.

The text of a statement is put together from constants of this room. Plain strings, because psycopg's composition
took longer than the query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Any, LiteralString

from gantry.catalogue.attributes import Attribute, Kind
from gantry.catalogue.errors import BadQuery
from gantry.catalogue.names import search_groups
from gantry.catalogue.rows import column, storable
from gantry.dataset import parse_date, parse_int

_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})
_TIME = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?")
#: Each name, range or wildcard is a condition of its own, and planning takes time. Plain lists are not bounded.
MAX_PATTERNS = 100
_NEARLY_UNIQUE = frozenset({"PatientID", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
_EARLIEST, _LATEST = "000000", "235960.999999"
_DAY = date(1, 1, 1), date(9999, 12, 31)


class Conditions:
    """Collects conditions and their parameters."""

    def __init__(self) -> None:
        self.parts: list[LiteralString] = []
        self.parameters: dict[str, Any] = {}
        #: True when a key that is nearly unique must have one of some values: then every plan begins there.
        self.pinned = False

    def composed(self) -> LiteralString:
        """All of them, joined by AND."""
        return " AND ".join(self.parts) or "TRUE"

    def parameter(self, value: Any) -> LiteralString:
        """A placeholder for a value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"%({name})s"

    def match(self, attribute: Attribute, values: list[str]) -> None:
        """One key. Nothing, or a star alone, matches everything. Raises BadQuery."""
        values = [storable(value) for value in values if value]
        if not values or any(not value.strip("*") for value in values):
            return
        if attribute.kind is Kind.CONSTANT:
            return
        at_once = attribute.kind in {Kind.UID, Kind.NUMBER, Kind.TEXT, Kind.LIST}
        alone = [value for value in values if wild(value)] if at_once else values
        if len(alone) > MAX_PATTERNS:
            raise BadQuery(attribute.keyword, f"has more than {MAX_PATTERNS} patterns")
        self.parts.append(_any(list(self._match(attribute, values))))
        self.pinned |= attribute.keyword in _NEARLY_UNIQUE and not any(map(wild, values))

    def _match(self, attribute: Attribute, values: list[str]) -> Iterable[LiteralString]:
        where = attribute.column
        each: Callable[[str], LiteralString]
        match attribute.kind:
            case Kind.UID:
                return [f"{where} = ANY({self.parameter(values)}::text[])"]
            case Kind.NUMBER:
                numbers = [number for value in values if (number := parse_int(value)) is not None]
                return [f"{where} = ANY({self.parameter(numbers)}::bigint[])"]
            case Kind.LIST | Kind.TEXT:
                texts = self._list if attribute.kind is Kind.LIST else self._texts
                return texts(where, [column(value) for value in values])
            case Kind.NAME:
                each = partial(self._name, attribute.search)
            case Kind.DATE:
                each = partial(self._dates_of, attribute.keyword, where)
            case Kind.TIME:
                each = partial(self._times, attribute.keyword, where)
            case _:
                each = partial(self._header, attribute, where)
        return map(each, values)

    def _texts(self, where: LiteralString, values: list[str]) -> Iterable[LiteralString]:
        plain = [value for value in values if not wild(value)]
        if plain:
            one = len(plain) == 1
            yield (f"{where} = {self._text(plain[0])}" if one else f"{where} = ANY({self.parameter(plain)}::text[])")
        for value in values:
            if wild(value):
                yield f"{where} LIKE {self._text(like(value))}"

    def _list(self, where: LiteralString, values: list[str]) -> Iterable[LiteralString]:
        plain = [value for value in values if not wild(value)]
        if plain:
            yield f"{where} && {self.parameter(plain)}::text[]"
        for value in values:
            if wild(value):
                template = "EXISTS (SELECT FROM unnest({}) AS one WHERE one LIKE {})"
                yield template.format(where, self._text(like(value)))

    def _header(self, attribute: Attribute, where: LiteralString, value: str) -> LiteralString:
        one: LiteralString = "one"
        if attribute.kind is Kind.HEADER_DATE:
            first, last = date_range(attribute.keyword, value)
            low, high = ((day or end).strftime("%Y%m%d").zfill(8) for day, end in zip((first, last), _DAY, strict=True))
            test: LiteralString = f"replace(one, '.', '') BETWEEN {self._text(low)} AND {self._text(high)}"
        else:
            test = _any(list(self._texts(one, [value])))
        return (
            f"EXISTS (SELECT FROM jsonb_array_elements_text(CASE jsonb_typeof({where}) WHEN 'array' THEN {where} "
            f"ELSE jsonb_build_array({where}) END) AS one WHERE one <> '' AND {test})"
        )

    def _text(self, value: str) -> LiteralString:
        return f"{self.parameter(value)}::text"

    # Dates and times

    def _dates(self, where: LiteralString, days: tuple[date | None, date | None]) -> LiteralString:
        first, last = days
        if first is not None and first == last:
            return f"{where} = {self.parameter(first)}::date"
        tests = [f"{where} {sign} {self.parameter(day)}::date" for sign, day in ((">=", first), ("<=", last)) if day is not None]
        return "({})".format(" AND ".join(tests)) if tests else "TRUE"

    def _dates_of(self, keyword: str, where: LiteralString, value: str) -> LiteralString:
        return self._dates(where, date_range(keyword, value))

    def _times(self, keyword: str, where: LiteralString, value: str) -> LiteralString:
        low, high = time_range(keyword, value)
        # As sent: HHMMSS.FFFFFF or shorter, or with colons as before DICOM 3.0.
        return f"({where} <> '' AND {_clock(where)} BETWEEN {self._text(low)} AND {self._text(high)})"

    def match_moment(self, day: Attribute, time: Attribute, dates: str, times: str) -> None:
        """Date and time of one moment, combined (PS3.4 C.2.2.2.5.4): from the first moment to the last. Raises BadQuery."""
        first, last = date_range(day.keyword, dates)
        low, high = time_range(time.keyword, times)
        date_column, clock = day.column, _clock(time.column)
        # The plain range on the date is implied; it is there for the index.
        self.parts.append(self._dates(date_column, (first, last)))
        for sign, end, bound in ((">=", first, low), ("<=", last, high)):
            if end is not None:
                template = '({}, {}) {} ({}::date, {} COLLATE "C")'
                self.parts.append(template.format(date_column, clock, sign, self.parameter(end), self._text(bound)))

    # Names

    def _name(self, search: tuple[LiteralString, ...], value: str) -> LiteralString:
        """Groups that are given must match; a name without an equals sign may be in any of them."""
        groups = search_groups(value)
        if "=" not in value:
            # An alphabetic name is in the first group; only what is not ASCII may be in the others, too.
            columns = search[:1] if groups[0].isascii() else search
            return _any([self._group(where, groups[0]) for where in columns])
        tests = [self._group(where, group) for where, group in zip(search, groups, strict=True) if group.strip("*^")]
        return "({})".format(" AND ".join(tests)) if tests else "TRUE"

    def _group(self, where: LiteralString, group: str) -> LiteralString:
        """Components that are missing or empty match everything."""
        present = f"{where} <> '' AND "
        parts = group.split("^")
        pattern = "^".join(like(part) if part else "%" for part in parts)
        if parts[-1].endswith("*"):
            return f"({present}{where} LIKE {self._text(pattern)})"
        whole = "{} LIKE {}" if any(not part or wild(part) for part in parts) else "{} = {}"
        exact = pattern if any(not part or wild(part) for part in parts) else group
        return "({}({} OR {} LIKE {}))".format(present, whole.format(where, self._text(exact)), where, self._text(f"{pattern}^%"))


def _any(parts: list[LiteralString]) -> LiteralString:
    if not parts:
        return "FALSE"
    return parts[0] if len(parts) == 1 else "({})".format(" OR ".join(parts))


def _clock(where: LiteralString) -> LiteralString:
    """A time as text that sorts: without colons, at least to the second."""
    template = "rpad(replace({0}, ':', ''), greatest(6, length(replace({0}, ':', ''))), '0') COLLATE \"C\""
    return template.format(where)


def wild(value: str) -> bool:
    """True with a wildcard."""
    return "*" in value or "?" in value


def like(value: str) -> str:
    """A pattern of LIKE, in the case that it has (PS3.4 C.2.2.2.4)."""
    return value.translate(_ESCAPED)


def date_range(keyword: str, value: str) -> tuple[date | None, date | None]:
    """First and last day, both included; None: open (PS3.4 C.2.2.2.5). Raises BadQuery."""
    first, dash, last = value.strip().partition("-")
    if not dash:
        last = first
    days = tuple(parse_date(text) if text.strip() else None for text in (first, last))
    if any(day is None and text.strip() for day, text in zip(days, (first, last), strict=True)) or days == (None, None):
        raise BadQuery(keyword, "is neither a date nor a range of dates")
    return days[0], days[1]


def time_range(keyword: str, value: str) -> tuple[str, str]:
    """First and last time as HHMMSS.FFFFFF, both included; a time that is not exact means all it may be.

    Raises BadQuery.
    """
    first, dash, last = value.replace(":", "").strip().partition("-")
    if not dash:
        last = first
    first, last = first.strip(), last.strip()
    if (first and not _TIME.fullmatch(first)) or (last and not _TIME.fullmatch(last)) or not (first or last):
        raise BadQuery(keyword, "is neither a time nor a range of times")
    low = first.ljust(6, "0") if first else _EARLIEST
    high = (last + "235959"[len(last) :] + "." * ("." not in last)).ljust(13, "9") if last else _LATEST
    return low.rstrip("0").rstrip(".") if "." in low else low, high
