"""Texts to the raw value of an element and back, by VR (PS3.5 6.2), in the character set of the object."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence

from gantry.dataset.charset import character_set
from gantry.dataset.edit_errors import CannotEdit
from gantry.dataset.encode import encode_text
from gantry.dataset.encodings import Encoding

#: Which character set they follow, and how long one value may be (characters; None: no limit but that of the element).
_TEXTS: dict[str, int | None] = {"LO": 64, "SH": 16, "PN": 64 * 3 + 2, "UC": None, "LT": 10_240, "ST": 1024, "UT": None}
_PLAIN: dict[str, re.Pattern[str]] = {
    "AE": re.compile(r"[ -\[\]-~]{0,16}"),
    "AS": re.compile(r"(\d{3}[DWMY])?", re.ASCII),
    "CS": re.compile(r"[A-Z0-9_ ]{0,16}", re.ASCII),
    "DA": re.compile(r"(\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))?", re.ASCII),
    "DS": re.compile(r"( *[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)? *)?", re.ASCII),
    "DT": re.compile(r"(\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?)?", re.ASCII),
    "IS": re.compile(r"( *[+-]?\d{1,11} *)?", re.ASCII),
    "TM": re.compile(r"(([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(?<=\d{6})(\.\d{1,6})?|[0-5]\d)?)?", re.ASCII),
    "UI": re.compile(r"((0|[1-9]\d*)(\.(0|[1-9]\d*))*)?", re.ASCII),
    "UR": re.compile(r"[!-\[\]-~]*"),
}
_LIMITS = {"DS": 16, "IS": 12, "UI": 64, "DT": 26, "TM": 14}
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
#: What an edit may give a value.
WRITABLE = frozenset({*_TEXTS, *_PLAIN, *_NUMBERS, "AT"})


def problem_of(vr: str, text: str) -> str:  # noqa: PLR0911  one answer per kind of VR
    """Why a text is no value of this VR; '' when it is one, as far as can be told without an object."""
    if vr not in WRITABLE:
        return f"values of VR {vr or 'unknown'} are not written"
    if vr in _TEXTS:
        limit = _TEXTS[vr]
        if limit is not None and len(text) > limit:
            return f"a value of VR {vr} has at most {limit} characters"
        if vr not in _ONE_VALUE and "\\" in text:
            return "a backslash separates values: give a list"
        allowed = "\r\n\f\t" if vr in {"LT", "ST", "UT"} else ""
        return "it holds control characters" if any(ord(c) < 0x20 and c not in allowed for c in text) else ""
    if vr in _NUMBERS or vr == "AT":
        try:
            _pack(vr, text, "<")
        except (ValueError, struct.error, OverflowError):
            return f"it is no number of VR {vr}"
        return ""
    if len(text) > _LIMITS.get(vr, len(text)) or not _PLAIN[vr].fullmatch(text):
        return f"it is no value of VR {vr}"
    return ""


def _pack(vr: str, text: str, order: str) -> bytes:
    if vr == "AT":
        tag = int(text.strip("()").replace(",", ""), 16)
        return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    code = _NUMBERS[vr]
    if code not in "fd":
        return struct.pack(order + code, int(text))
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return struct.pack(order + code, number)


def encode_values(values: Sequence[str], vr: str, charset: bytes, encoding: Encoding, name: str) -> bytes:
    """The raw value, of even length. Raises CannotEdit where the VR or the character set cannot say it."""
    for value in values:
        if problem := problem_of(vr, value):
            raise CannotEdit(f"{name}: the new value does not fit: {problem}")
    if vr in _NUMBERS or vr == "AT":
        return b"".join(_pack(vr, value, ">" if encoding.big_endian else "<") for value in values)
    text = "\\".join(values)
    try:
        raw = encode_text(text, charset, vr == "PN") if vr in _TEXTS else text.encode("ascii")
    except UnicodeEncodeError as error:
        declared = charset.decode("ascii", "replace").strip(" \0") or "the default one, ASCII"
        raise CannotEdit(
            f"{name}: the new value cannot be written in the character set of the object ({declared}): "
            "give a value that it has characters for"
        ) from error
    if len(raw) & 1:
        raw += b"\0" if vr == "UI" else b" "
    return raw


def decode_values(raw: bytes, vr: str, charset: bytes, encoding: Encoding, name: str) -> list[str]:
    """The values as texts, without padding; an empty element has none. Raises CannotEdit for what is no text or number."""
    if vr in _NUMBERS:
        number = struct.Struct((">" if encoding.big_endian else "<") + _NUMBERS[vr])
        if len(raw) % number.size:
            raise CannotEdit(f"{name}: its length does not fit VR {vr}")
        return [str(value) for (value,) in number.iter_unpack(raw)]
    if vr not in _TEXTS and vr not in _PLAIN:
        raise CannotEdit(f"{name}: a value of VR {vr or 'unknown'} is not read as text")
    text = character_set(charset).decode(raw, [], person_name=vr == "PN") if vr in _TEXTS else raw.decode("latin-1")
    if not text.strip(" \0"):
        return []
    if vr in _ONE_VALUE:
        return [text.rstrip(" \0")]
    return [value.strip(" \0") if vr in _PLAIN else value.rstrip(" \0") for value in text.split("\\")]
