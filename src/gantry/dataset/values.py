"""Raw values to text, and text to numbers and dates (PS3.5 6.2)."""

from __future__ import annotations

import re
from datetime import date
from struct import Struct

from gantry.dataset.charset import CharacterSet
from gantry.dataset.escapes import ESCAPE

MAX_VALUE_BYTES = 65_536
MAX_VALUES = 256

_BINARY = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q"}
_SPACE_BOTH_ENDS = frozenset({"CS", "IS", "DA", "TM", "AS"})
_DATE = re.compile(r"([0-9]{4})([.\-/]?)([0-9]{2})\2([0-9]{2})(?![0-9])")
_INTEGER = re.compile(r"([+-]?[0-9]{1,19})(?:\.0*)?")
_INT64 = 1 << 63


def decode_text(raw: bytes, vr: str, charset: CharacterSet, warnings: list[str]) -> str | list[str]:
    """The text of a value, without padding; a list where there are several values.

    Each value keeps at most MAX_VALUE_BYTES, a list at most MAX_VALUES.
    """
    if raw.isascii() and ESCAPE not in raw:
        text = raw.decode("ascii")
    else:
        text = charset.decode(raw, warnings, person_name=vr == "PN")
        if vr not in {"LO", "SH", "PN"}:
            warnings.append("a value of a VR that knows only ASCII holds other characters")
    both = vr in _SPACE_BOTH_ENDS
    if "\\" not in text:
        text = text.strip(" \0") if both else text.rstrip(" \0")
        return _without_nul(text, warnings) if "\0" in text else text
    values = text.split("\\", MAX_VALUES)
    if len(values) > MAX_VALUES:
        warnings.append(f"an attribute has more than {MAX_VALUES} values; the others were not kept")
        values.pop()
    values = [value.strip(" \0") if both else value.rstrip(" \0") for value in values]
    return [_without_nul(value, warnings) if "\0" in value else value for value in values]


def decode_number(raw: bytes, vr: bytes, warnings: list[str], *, big_endian: bool) -> str | list[str]:
    """The decimal text of a value of VR US, whatever VR the sender gave it (two NULs: implicit VR)."""
    code = _BINARY.get(vr)
    if code is None and vr.isalpha() and raw and not raw.strip(b"0123456789+- \\\0") and len(raw) != 2:
        text = raw.decode("ascii").strip(" \0").replace("\0", "")  # text, as in IS
        return text.split("\\")[:MAX_VALUES] if "\\" in text else text
    number = Struct((">" if big_endian else "<") + (code or "H"))
    if len(raw) % number.size:
        warnings.append("a number has a wrong length")
        raw = raw[: len(raw) - len(raw) % number.size]
    numbers = [str(value) for (value,) in number.iter_unpack(raw[: MAX_VALUES * number.size])]
    if len(numbers) == 1:
        return numbers[0]
    return numbers or ""


def _without_nul(text: str, warnings: list[str]) -> str:
    warnings.append("a text holds NUL characters; they were left out")
    return text.replace("\0", "")


def parse_date(text: str | list[str] | None) -> date | None:
    """The first date of a DA value, also as written before DICOM 3.0 (2024.05.31); None where it is none."""
    if isinstance(text, list):
        text = text[0] if text else None
    match = _DATE.match(text.strip()) if text else None
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def parse_int(text: str | list[str] | None) -> int | None:
    """The first value of IS, DS or US when it is a whole number within 64 bits; None otherwise."""
    if isinstance(text, list):
        text = text[0] if text else None
    match = _INTEGER.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    number = int(match[1])
    return number if -_INT64 <= number < _INT64 else None
