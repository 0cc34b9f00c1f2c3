"""Elements as the DICOM JSON model (PS3.18 annex F)."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

from gantry.dataset.attributes import Attributes, Element
from gantry.dataset.attributes_shown import SHOWN
from gantry.dataset.attributes_values import BINARY, BULK, TEXT, charset_of, numbers, tags, texts
from gantry.dataset.charset import CharacterSet
from gantry.dataset.encodings import Encoding

#: Bytes and words up to here stand in the JSON itself, in base64; larger ones are fetched by their BulkDataURI.
MAX_INLINE = 1024
_PERSON_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PIXEL_GROUP = 0x7FE0
Json = dict[str, Any]


def to_json(attributes: Attributes, bulk: str, *, shown_only: bool = False) -> Json:
    """The data set as DICOM JSON, without group lengths. `bulk`: URL below which large values are fetched by their path.

    `shown_only` leaves out what may say who a patient is: what is kept is named in attributes_shown.
    """
    writer = JsonWriter(attributes.encoding, shown_only=shown_only)
    return writer.dataset(attributes.elements, charset_of(attributes.elements), bulk)


class JsonWriter:
    """Writes elements, one data set or item after the other."""

    def __init__(self, encoding: Encoding, *, shown_only: bool) -> None:
        self._encoding = encoding
        self._shown_only = shown_only

    def dataset(self, elements: list[Element], charset: CharacterSet, bulk: str) -> Json:
        """One object of them."""
        result: Json = {}
        shown_only = self._shown_only
        for element in elements:
            tag = element.tag
            if not tag & 0xFFFF or (shown_only and tag not in SHOWN):
                continue
            key = f"{tag:08X}"
            if key in result:
                continue
            made: Json = {"vr": element.vr}
            result[key] = made
            if element.items is not None:
                made["vr"] = "SQ"
                if element.items:
                    made["Value"] = [
                        self.dataset(item, charset_of(item, charset), f"{bulk}/{key}/{number}")
                        for number, item in enumerate(element.items)
                    ]
            elif element.length:
                self._value(made, element, charset, f"{bulk}/{key}")
        return result

    def _value(self, made: Json, element: Element, charset: CharacterSet, bulk: str) -> None:
        raw, vr = element.raw, element.vr
        if raw is None or (vr in BULK and len(raw) > MAX_INLINE) or element.tag >> 16 == _PIXEL_GROUP:
            made["BulkDataURI"] = bulk
        elif vr in TEXT:
            if values := _texts(raw, vr, charset):
                made["Value"] = values
        elif vr in BINARY:
            if found := numbers(raw, vr, self._encoding):
                made["Value"] = [_finite(number) for number in found] if vr in {"FL", "FD"} else found
        elif vr == "AT":
            if found_tags := tags(raw, self._encoding):
                made["Value"] = found_tags
        elif raw:
            made["InlineBinary"] = base64.b64encode(raw).decode("ascii")


def _finite(number: float) -> float | str:
    """JSON knows no NaN and no infinity: PS3.18 table F.2.3-1 writes them as text."""
    return number if math.isfinite(number) else "NaN" if math.isnan(number) else "inf" if number > 0 else "-inf"


def _texts(raw: bytes, vr: str, charset: CharacterSet) -> list[Any]:
    values = texts(raw, vr, charset)
    convert = _CONVERT.get(vr)
    if convert is not None:
        return [convert(value) if value else None for value in values]
    return values if all(values) else [value or None for value in values]


def _person(value: str) -> Json | None:
    groups = {name: part for name, part in zip(_PERSON_GROUPS, value.split("="), strict=False) if part}
    return groups or None


def _integer(value: str) -> int | str:
    try:
        return int(value) if len(value) <= 20 else value
    except ValueError:
        return value


def _decimal(value: str) -> float | int | str:
    """As a number where it is one; what is none stays text (PS3.18 F.2.3)."""
    try:
        number = float(value) if len(value) <= 64 else math.nan
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_CONVERT: dict[str, Callable[[str], Any]] = {"PN": _person, "IS": _integer, "DS": _decimal}
