"""All elements of a data set as rows for a person: tag, VR, name, value, in order, with their depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gantry.dataset.attributes import Attributes, Element
from gantry.dataset.attributes_shown import SHOWN
from gantry.dataset.attributes_values import BINARY, TEXT, charset_of, numbers, tags, texts
from gantry.dataset.charset import CharacterSet
from gantry.dataset.edit_paths import name_of
from gantry.dataset.encodings import UNDEFINED_LENGTH, Encoding

#: A value is cut here, characters; and a list of values.
MAX_SHOWN = 400
MAX_VALUES = 32
MAX_ROWS = 20_000
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Row:
    """One element. `depth` 0 is the data set itself; `path` leads to it: tags and numbers of items."""

    path: str
    depth: int
    tag: str
    vr: str
    keyword: str
    name: str
    value: str
    length: int | None
    cut: bool


def rows(attributes: Attributes, search: str = "", *, shown_only: bool = False) -> Iterator[Row]:
    """Every element, at most MAX_ROWS; with `search` those whose tag, name or value holds it, in any case.

    `shown_only` leaves out what may say who the patient is, see attributes_shown.
    """
    needle = search.strip().lower()
    bare = needle.strip("()").replace(",", "")
    given = 0
    for row in _rows(attributes.elements, charset_of(attributes.elements), attributes.encoding, "", 0, shown_only=shown_only):
        if needle and not _fits(row, needle, bare):
            continue
        given += 1
        if given > MAX_ROWS:
            return
        yield row


def _fits(row: Row, needle: str, bare: str) -> bool:
    return (
        needle in row.name.lower() or needle in row.keyword.lower() or needle in row.value.lower()
        or (bool(bare) and row.tag.lower().startswith(bare))
    )  # fmt: skip


def _rows(
    elements: list[Element], charset: CharacterSet, encoding: Encoding, path: str, depth: int, *, shown_only: bool
) -> Iterator[Row]:
    creators: dict[int, str] = {}
    for element in elements:
        tag = element.tag
        if shown_only and tag not in SHOWN:
            continue
        here = f"{path}{tag:08X}"
        value, cut = _shown(element, charset, encoding)
        if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF:
            creators[(tag >> 16) << 8 | tag & 0xFF] = value
        keyword, name = _named(tag, creators)
        length = None if element.length == UNDEFINED_LENGTH else element.length
        yield Row(here, depth, f"{tag:08X}", element.vr, keyword, name, value, length, cut)
        for number, item in enumerate(element.items or ()):
            yield from _rows(item, charset_of(item, charset), encoding, f"{here}/{number}/", depth + 1, shown_only=shown_only)


def _named(tag: int, creators: dict[int, str]) -> tuple[str, str]:
    if tag & 0x10000:
        creator = creators.get((tag >> 16) << 8 | (tag >> 8) & 0xFF, "")
        return "", "Private Creator" if 0x10 <= tag & 0xFFFF <= 0xFF else f"Private ({creator})" if creator else "Private"
    if not tag & 0xFFFF:
        return "", "Group Length"
    keyword = name_of(tag)
    return ("", "") if keyword.startswith("(") else (keyword, _WORDS.sub(" ", keyword))


def _shown(element: Element, charset: CharacterSet, encoding: Encoding) -> tuple[str, bool]:
    """The value for a person, and whether it was cut."""
    if element.items is not None:
        count = len(element.items)
        return f"{count} item{'' if count == 1 else 's'}", False
    raw, vr = element.raw, element.vr
    if raw is None or not raw:
        return "", element.length != 0
    if vr in TEXT:
        text = "\\".join(texts(raw[: MAX_SHOWN * 8], vr, charset))
        return text[:MAX_SHOWN], len(text) > MAX_SHOWN or len(raw) > MAX_SHOWN * 8
    if vr in BINARY or vr == "AT":
        few = raw[: 8 * (MAX_VALUES + 1)]
        found = tags(few, encoding) if vr == "AT" else [_digits(number) for number in numbers(few, vr, encoding)]
        return "\\".join(found[:MAX_VALUES]), len(raw) > 8 * MAX_VALUES or len(found) > MAX_VALUES
    text = raw.decode("ascii", "replace").rstrip("\0 ")
    if vr == "UN" and text.isprintable() and text.isascii():
        return text[:MAX_SHOWN], len(text) > MAX_SHOWN
    return raw[:32].hex(" "), len(raw) > 32


def _digits(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
