"""Values of elements as text and numbers, without ever failing (PS3.5 6.2)."""

from __future__ import annotations

from functools import cache
from struct import Struct, unpack

from gantry.dataset.attributes import Attributes, Element
from gantry.dataset.charset import CharacterSet, character_set
from gantry.dataset.encodings import Encoding
from gantry.dataset.escapes import ESCAPE

CHARACTER_SET = 0x00080005
#: One text, backslashes and all; trailing spaces are padding, leading ones are not.
WHOLE_TEXT = frozenset({"LT", "ST", "UT", "UR"})
TEXT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"}) | WHOLE_TEXT
BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
#: Bytes and words that are no single numbers for a reader.
BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_BOTH_ENDS = frozenset({"AE", "AS", "CS", "DS", "IS", "DA", "TM"})


def charset_of(elements: list[Element], outer: CharacterSet | None = None) -> CharacterSet:
    """The character set that a data set or item declares, or that it lies in."""
    for element in elements:
        if element.tag > CHARACTER_SET:
            break
        if element.tag == CHARACTER_SET and element.raw is not None:
            return character_set(element.raw)
    return outer or character_set(b"")


def texts(raw: bytes, vr: str, charset: CharacterSet) -> list[str]:
    """The values of a text, without padding; no value: an empty list."""
    plain = raw.isascii() and ESCAPE not in raw
    text = raw.decode("ascii") if plain else charset.decode(raw, [], person_name=vr == "PN")
    if vr in WHOLE_TEXT:
        text = text.rstrip(" \0")
        values = [text] if text else []
    elif "\\" not in text:
        text = text.strip(" \0") if vr in _BOTH_ENDS else text.rstrip(" \0")
        values = [text] if text else []
    else:
        values = [value.strip(" \0") if vr in _BOTH_ENDS else value.rstrip(" \0") for value in text.split("\\")]
    return [value.replace("\0", "") for value in values] if "\0" in text else values


@cache
def _number(order: str, code: str) -> Struct:
    return Struct(order + code)


def numbers(raw: bytes, vr: str, encoding: Encoding) -> list[int | float]:
    """The numbers of a binary value; bytes that are left over are dropped."""
    order, code = ">" if encoding.big_endian else "<", BINARY[vr]
    one = _number(order, code)
    if len(raw) == one.size:
        return list(one.unpack(raw))
    count = len(raw) // one.size
    return list(unpack(f"{order}{count}{code}", raw[: count * one.size]))


def tags(raw: bytes, encoding: Encoding) -> list[str]:
    """The values of an AT, as eight hexadecimal digits."""
    found = unpack(f"{'>' if encoding.big_endian else '<'}{len(raw) // 4 * 2}H", raw[: len(raw) // 4 * 4])
    return [f"{group:04X}{element:04X}" for group, element in zip(found[::2], found[1::2], strict=True)]


class Values:
    """Single values of one data set or item, by tag."""

    def __init__(self, attributes: Attributes, elements: list[Element] | None = None) -> None:
        self._attributes = attributes
        self._elements: dict[int, Element] = {}
        for element in attributes.elements if elements is None else elements:
            self._elements.setdefault(element.tag, element)
        self._charset = charset_of(attributes.elements)

    def element(self, tag: int) -> Element | None:
        """As it was read."""
        return self._elements.get(tag)

    def text(self, tag: int, default: str = "") -> str:
        """The first value as text."""
        element = self._elements.get(tag)
        if element is None or element.raw is None:
            return default
        found = texts(element.raw, element.vr if element.vr in TEXT else "LO", self._charset)
        return found[0] if found else default

    def floats(self, tag: int) -> list[float]:
        """All values as numbers; what is none is left out."""
        element = self._elements.get(tag)
        if element is None or element.raw is None:
            return []
        if element.vr in BINARY:
            return [float(value) for value in numbers(element.raw, element.vr, self._attributes.encoding)]
        if element.vr not in TEXT:
            return []
        return [number for text in texts(element.raw, element.vr, self._charset)[:64] if (number := _float(text)) is not None]

    def number(self, tag: int, default: int) -> int:
        """The first value as a whole number."""
        found = self.floats(tag)
        return int(found[0]) if found and abs(found[0]) < 2**53 else default

    def items(self, tag: int) -> list[Values]:
        """The items of a sequence."""
        element = self._elements.get(tag)
        if element is None or not element.items:
            return []
        return [Values(self._attributes, item) for item in element.items[:10_000]]

    def item(self, tag: int, index: int = 0) -> Values | None:
        """One item of a sequence."""
        element = self._elements.get(tag)
        if element is None or not element.items or index >= len(element.items):
            return None
        return Values(self._attributes, element.items[index])


def _float(text: str) -> float | None:
    if len(text) > 64:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
