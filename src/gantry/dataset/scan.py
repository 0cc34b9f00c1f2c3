"""Reads the indexed attributes from the beginning of a data set, without touching pixels.

Works in every transfer syntax, never raises on data, and takes bounded memory and time: the walk stops
behind the last wanted element, values are cut at MAX_VALUE_BYTES, a deflate stream is opened only as
far as needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gantry.dataset.charset import character_set
from gantry.dataset.elements import (
    MAX_WARNINGS,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Walk,
    Wanted,
    tag_name,
)
from gantry.dataset.encodings import Buffer, declared_encoding, detect_encoding, is_deflated, looks_right
from gantry.dataset.inflate import inflated_steps
from gantry.dataset.tags import INDEXED_KEYWORDS, IndexedKeyword
from gantry.dataset.values import MAX_VALUE_BYTES, decode_number, decode_text, parse_date, parse_int

__all__ = ["INDEXED_KEYWORDS", "Header", "Identity", "IndexedKeyword", "parse_date", "parse_int", "scan",
           "scan_identity"]  # fmt: skip

_CHARACTER_SET = 0x00080005
_SOP_CLASS_UID = 0x00080016
_FILE_META_GROUP = 0x0002
_ATTRIBUTES = {
    indexed.tag: (keyword, indexed.vr) for keyword, indexed in INDEXED_KEYWORDS.items() if indexed.tag >> 16 != _FILE_META_GROUP
}
_INDEXED = Wanted(_ATTRIBUTES)
_IDENTITY = Wanted((_SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID))


@dataclass(frozen=True, slots=True)
class Header:
    """What was found: keyword to text, a list where there are several values; absent keywords are missing.

    `complete` is False when the bytes ended, or could not be read on, before the last wanted element.
    """

    values: dict[str, str | list[str]]
    warnings: tuple[str, ...]
    complete: bool


class Identity(NamedTuple):
    """The four UIDs as sent, without trailing padding and not validated; None where absent."""

    sop_class_uid: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    complete: bool


def scan(head: Buffer, transfer_syntax_uid: str, *, whole: bool) -> Header:
    """The indexed attributes of the data set that begins with `head`.

    `whole` says that `head` is the entire data set: an end in the middle is then damage, and warned of.
    """
    warnings: list[str] = []
    values: dict[str, str | list[str]] = {}
    if not is_deflated(transfer_syntax_uid):
        walk = _walk(head, transfer_syntax_uid, warnings, whole=whole)
    else:
        for inflated, last in inflated_steps(head, warnings, whole=whole):
            whole = last
            walk = _walk(inflated, transfer_syntax_uid, warnings, whole=whole)
            if walk.passed:
                break
    complete = walk.passed or (whole and walk.ended_cleanly)
    if whole and not complete:
        walk.warn("the data set ends, or cannot be read, before the attributes of the image")
    _decode(walk, values, warnings)
    warnings.extend(walk.warnings)
    return Header(values, tuple(dict.fromkeys(warnings))[:MAX_WARNINGS], complete)


def scan_identity(head: Buffer, transfer_syntax_uid: str, *, whole: bool = False) -> Identity:
    """The UIDs of the data set that begins with `head`; `complete` as in Header. Made to be fast."""
    warnings: list[str] = []
    if not is_deflated(transfer_syntax_uid):
        walk = _walk_identity(head, transfer_syntax_uid, whole=whole)
    else:
        for inflated, last in inflated_steps(head, warnings, whole=whole):
            whole = last
            walk = _walk_identity(inflated, transfer_syntax_uid, whole=whole)
            if walk.passed:
                break
    data, get = walk.data, walk.found.get
    return Identity(
        _uid(data, get(_SOP_CLASS_UID)),
        _uid(data, get(SOP_INSTANCE_UID)),
        _uid(data, get(STUDY_INSTANCE_UID)),
        _uid(data, get(SERIES_INSTANCE_UID)),
        walk.passed or (whole and walk.ended_cleanly),
    )


def _walk(data: Buffer, transfer_syntax_uid: str, warnings: list[str], *, whole: bool) -> Walk:
    encoding = declared_encoding(transfer_syntax_uid)
    if not looks_right(data, encoding):
        found = detect_encoding(data, start=0, total=len(data) if whole else 1 << 62)
        if found is not None and found is not encoding:
            warnings.append(f"the data set is in {found.name}, the transfer syntax says {encoding.name}")
            encoding = found
    return Walk(data, encoding, _INDEXED)


def _walk_identity(data: Buffer, transfer_syntax_uid: str, *, whole: bool) -> Walk:
    encoding = declared_encoding(transfer_syntax_uid)
    if not looks_right(data, encoding):
        encoding = detect_encoding(data, start=0, total=len(data) if whole else 1 << 62) or encoding
    return Walk(data, encoding, _IDENTITY)


def _uid(data: Buffer, place: tuple[int, int, int] | None) -> str | None:
    if place is None:
        return None
    value, length, _ = place
    return str(data[value : value + min(length, MAX_VALUE_BYTES)], "latin-1").rstrip("\0 ")


def _decode(walk: Walk, values: dict[str, str | list[str]], warnings: list[str]) -> None:
    data, found, encoding = walk.data, walk.found, walk.encoding
    place = found.get(_CHARACTER_SET)
    charset = character_set(b"" if place is None else bytes(data[place[0] : place[0] + place[1]]))
    warnings.extend(charset.warnings)
    for tag, (value, length, given_vr) in found.items():
        keyword, vr = _ATTRIBUTES[tag]
        if length > MAX_VALUE_BYTES:
            warnings.append(f"{tag_name(tag)} is longer than {MAX_VALUE_BYTES} bytes; it was cut")
            length = MAX_VALUE_BYTES  # noqa: PLW2901 - from here on the cut one counts
        elif length & 1:
            warnings.append(f"{tag_name(tag)} has an odd length")
        raw = bytes(data[value : value + length])
        if vr == "US":
            values[keyword] = decode_number(raw, encoding.vr_name(given_vr), warnings, big_endian=encoding.big_endian)
        else:
            values[keyword] = decode_text(raw, vr, charset, warnings)
