"""Identifiers and the other small data sets of messages: read, built and written (PS3.5 chapters 6 and 7).

Queries, their answers, worklists, storage commitment and performed procedure steps. Any bytes give an
Identifier or an IdentifierError; size, depth and number of elements are bounded. Not for images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from dimse.dictionary import keyword_of, tag_of, vr_of
from dimse.operations import MAX_IDENTIFIER
from dimse.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from dimse.values import (
    IMPLICIT,
    Encoding,
    IdentifierError,
    decode_plain,
    deflate,
    encode_plain,
    encoding_of,
    inflate,
    read_numbers,
    write_numbers,
)

__all__ = ["Decode", "Encode", "Given", "Identifier", "IdentifierError", "Value", "decode_plain", "encode_plain"]

MAX_DEPTH: Final = 16
#: Elements and items together: as many as a commitment request of 1 MiB has.
MAX_ELEMENTS: Final = 65_536
MAX_VALUES: Final = 65_536
CHARACTER_SET: Final = 0x00080005
UTF8: Final = "ISO_IR 192"

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_PADDING = 0xFFFCFFFC
_LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_BYTES = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "UN"])
_ONE_VALUE = frozenset(["LT", "ST", "UR", "UT"])
_IN_CHARACTER_SET = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
_STRIPPED = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM"])
_TEXT_VRS = _IN_CHARACTER_SET | _STRIPPED | {"UI", "UR"}
_SHORT_VRS = (_TEXT_VRS | {"AT", "US", "SS", "UL", "SL", "FL", "FD"}) - _LONG_VRS
_MAX_SHORT = 0xFFFE

#: Text of `raw` by the value of Specific Character Set; the flag says that it is a person's name.
Decode: TypeAlias = "Callable[[bytes, bytes, bool], str]"
#: The opposite. Raises UnicodeError for text that the character set cannot say: then UTF-8 is taken instead.
Encode: TypeAlias = "Callable[[str, bytes, bool], bytes]"
Value: TypeAlias = "str | list[str] | list[Identifier] | bytes"
Given: TypeAlias = "str | int | float | bytes | Sequence[str] | Sequence[Identifier] | None"


@dataclass(slots=True)
class _Reader:
    """One pass over the bytes of a data set."""

    data: bytes
    decode: Decode
    elements: int = 0

    def read(self, encoding: Encoding, start: int, end: int, depth: int, charset: bytes, *, open_end: bool) -> tuple[
        dict[int, tuple[str, Value]], int
    ]:  # fmt: skip
        """The elements from `start` to `end`, or with `open_end` to an item delimitation; and where they ended."""
        found: dict[int, tuple[str, Value]] = {}
        position = start
        while position < end:
            tag, vr, length, position = self._head(encoding, position, end)
            if tag == _ITEM_END and open_end:
                return found, position
            if tag >> 16 == _DELIMITERS:
                raise IdentifierError("a delimitation item where none belongs", tag)
            if length == _UNDEFINED or vr == "SQ":
                inner = IMPLICIT if vr == "UN" else encoding  # PS3.5 6.2.2 note 2
                items, position = self._items(inner, position, end, length, depth, charset)
                found.setdefault(tag, ("SQ", items))
                continue
            if length > end - position:
                raise IdentifierError("a value is longer than what is left", tag)
            raw = self.data[position : position + length]
            position += length
            if tag & 0xFFFF == 0 or tag == _PADDING or tag in found:
                continue
            if vr == "UN" and not encoding.implicit and (known := vr_of(tag)) != "UN":
                found[tag] = self._unwrapped(tag, known, position - length, position, depth, charset)
                continue
            if tag == CHARACTER_SET:
                charset = raw
            found[tag] = vr, self._value(tag, vr, raw, encoding, charset)
        if open_end:
            raise IdentifierError("an item has no end")
        return found, position

    def _head(self, encoding: Encoding, position: int, end: int) -> tuple[int, str, int, int]:
        """Tag, VR, length, and where the value begins."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise IdentifierError("too many elements")
        if end - position < 8:
            raise IdentifierError("an element is cut off")
        group, element, length = encoding.implicit_head.unpack_from(self.data, position)
        tag = group << 16 | element
        if encoding.implicit or group == _DELIMITERS:
            return tag, vr_of(tag), length, position + 8
        vr = self.data[position + 4 : position + 6].decode("latin-1")
        if vr in _SHORT_VRS:
            (length,) = encoding.short.unpack_from(self.data, position + 6)
            return tag, vr, length, position + 8
        if not (vr.isascii() and vr.isalpha() and vr.isupper()):
            raise IdentifierError("an element has no value representation", tag)
        if end - position < 12:
            raise IdentifierError("an element is cut off", tag)
        # A VR of a later edition has the long form (PS3.5 7.1.2); its value stays bytes.
        (length,) = encoding.long.unpack_from(self.data, position + 8)
        return tag, vr if vr in _LONG_VRS else "UN", length, position + 12

    def _items(
        self, encoding: Encoding, position: int, end: int, length: int, depth: int, charset: bytes
    ) -> tuple[list[Identifier], int]:
        if depth >= MAX_DEPTH:
            raise IdentifierError("sequences are nested too deep")
        open_end = length == _UNDEFINED
        if not open_end:
            if length > end - position:
                raise IdentifierError("a sequence is longer than what is left")
            end = position + length
        items: list[Identifier] = []
        while position < end:
            tag, _, length, position = self._head(encoding, position, end)
            if tag == _SEQUENCE_END and open_end:
                return items, position
            if tag != _ITEM:
                raise IdentifierError("an element where an item belongs", tag)
            if length != _UNDEFINED and length > end - position:
                raise IdentifierError("an item is longer than what is left")
            stop = end if length == _UNDEFINED else position + length
            found, position = self.read(encoding, position, stop, depth + 1, charset, open_end=length == _UNDEFINED)
            items.append(Identifier.made(found))
        if open_end:
            raise IdentifierError("a sequence has no end")
        return items, position

    def _unwrapped(self, tag: int, vr: str, start: int, end: int, depth: int, charset: bytes) -> tuple[str, Value]:
        """A known attribute that came as UN: its value is in implicit VR little endian (PS3.5 6.2.2)."""
        if vr == "SQ":
            return vr, self._items(IMPLICIT, start, end, end - start, depth, charset)[0]
        return vr, self._value(tag, vr, self.data[start:end], IMPLICIT, charset)

    def _value(self, tag: int, vr: str, raw: bytes, encoding: Encoding, charset: bytes) -> Value:
        if vr not in _TEXT_VRS:
            return raw if vr in _BYTES else _one_or_list(read_numbers(tag, vr, raw, encoding))
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii")
        else:
            text = self.decode(raw, charset, vr == "PN") if vr in _IN_CHARACTER_SET else raw.decode("latin-1")
        if "\\" not in text or vr in _ONE_VALUE:
            return _stripped(text, vr)
        parts = text.split("\\", MAX_VALUES)
        if len(parts) > MAX_VALUES:
            raise IdentifierError("an attribute has too many values", tag)
        return [_stripped(part, vr) for part in parts]


def _stripped(text: str, vr: str) -> str:
    return text.strip(" \0") if vr in _STRIPPED else text.rstrip(" \0")


def _one_or_list(texts: list[str]) -> str | list[str]:
    return (texts[0] if texts else "") if len(texts) < 2 else texts


class Identifier(Mapping[str, Value]):
    """A small data set: keyword to value, in the order of the tags. It does not change once it is made.

    Keys are keywords, tags as numbers, or eight hexadecimal digits where an attribute has no keyword here. Values
    are text, a list of texts where there are several, a list of Identifiers for a sequence, or bytes for what has
    no known representation. Numbers are decimal text, attribute tags (AT) eight hexadecimal digits.

    >>> asked = Identifier.of(QueryRetrieveLevel="STUDY", PatientName="DOE*", NumberOfStudyRelatedSeries=None)
    >>> Identifier.parse(asked.encode("1.2.840.10008.1.2"), "1.2.840.10008.1.2")["PatientName"]
    'DOE*'
    """

    __slots__ = ("_elements",)
    _elements: dict[int, tuple[str, Value]]

    def __init__(self, values: Mapping[str, Given] | Mapping[int, Given] | None = None) -> None:
        """Raises KeyError for an unknown keyword, TypeError for a value that does not go with its attribute."""
        self._elements = {}
        for key, given in (values or {}).items():
            tag = tag_of(key)
            vr = vr_of(tag)
            if vr == "UN" and isinstance(given, Sequence) and given and isinstance(given[0], Identifier):
                vr = "SQ"
            self._elements[tag] = vr, _taken(vr, given)
        self._elements = dict(sorted(self._elements.items()))

    @classmethod
    def of(cls, **values: Given) -> Identifier:
        """By keywords; None is an empty value. Raises as the constructor."""
        return cls(values)

    @classmethod
    def made(cls, elements: dict[int, tuple[str, Value]]) -> Identifier:
        """From tag to (VR, value) as they are; for those who have read them."""
        new = cls.__new__(cls)
        new._elements = dict(sorted(elements.items()))
        return new

    @classmethod
    def parse(cls, data: bytes | memoryview, transfer_syntax_uid: str, *, decode: Decode = decode_plain) -> Identifier:
        """Read a data set of at most MAX_IDENTIFIER bytes, deflated or not. Raises IdentifierError.

        Group lengths and padding are left out; of an attribute that comes twice, the first counts.
        """
        data = bytes(data)
        if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            data = inflate(data)
        if len(data) > MAX_IDENTIFIER:
            raise IdentifierError("the data set is too long")
        found, _ = _Reader(data, decode).read(encoding_of(transfer_syntax_uid), 0, len(data), 0, b"", open_end=False)
        return cls.made(found)

    def encode(self, transfer_syntax_uid: str, *, encode: Encode = encode_plain) -> bytes:
        """The bytes. Text that the Specific Character Set of the data set cannot say makes it ISO_IR 192.

        Raises IdentifierError for what has no bytes: a number that is none, half a surrogate pair.
        """
        encoding = encoding_of(transfer_syntax_uid)
        try:
            try:
                data = _written(self._elements, encoding, encode, b"", force=False)
            except UnicodeError:
                changed = self._elements | {CHARACTER_SET: ("CS", UTF8)}
                data = _written(dict(sorted(changed.items())), encoding, encode_plain, UTF8.encode(), force=True)
        except UnicodeError as error:
            raise IdentifierError("a text has characters that no character set has") from error
        return deflate(data) if transfer_syntax_uid == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN else data

    def __getitem__(self, key: str | int) -> Value:
        return self._elements[tag_of(key)][1]

    def __iter__(self) -> Iterator[str]:
        return map(keyword_of, self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __repr__(self) -> str:
        return f"Identifier({', '.join(self)})"  # no values: they are of patients

    def tags(self) -> tuple[int, ...]:
        """The tags, ascending."""
        return tuple(self._elements)

    def vr(self, key: str | int) -> str:
        """The value representation of an attribute that is there (KeyError)."""
        return self._elements[tag_of(key)][0]

    def text(self, key: str | int) -> str:
        """A value as text, several joined by backslash; empty when it is absent, empty, a sequence or bytes."""
        return "\\".join(self.texts(key))

    def texts(self, key: str | int) -> list[str]:
        """The values as texts; none when it is absent, empty, a sequence or bytes."""
        value = self._at(key)
        if isinstance(value, str):
            return [value] if value else []
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

    def items_of(self, key: str | int) -> list[Identifier]:
        """The items of a sequence; none when it is absent or no sequence."""
        value = self._at(key)
        return [one for one in value if isinstance(one, Identifier)] if isinstance(value, list) else []

    def _at(self, key: str | int) -> Value:
        found = self._elements.get(tag_of(key))
        return found[1] if found is not None else ""

    def replaced(self, **values: Given) -> Identifier:
        """A copy with these attributes added or put in the place of others."""
        return Identifier.made(self._elements | Identifier(values)._elements)


def _taken(vr: str, given: Given) -> Value:
    """A value as it is kept. Raises TypeError."""
    if vr == "SQ" or vr in _BYTES:
        if given is None or given == "":
            return [] if vr == "SQ" else b""
        if vr != "SQ" and isinstance(given, (bytes, bytearray, memoryview)):
            return bytes(given)
        if vr == "SQ" and isinstance(given, Sequence):
            items = [one for one in given if isinstance(one, Identifier)]
            if len(items) == len(given):
                return items
        raise TypeError(f"{type(given).__name__} is no value for {vr}")
    if given is None:
        return ""
    if isinstance(given, (str, int, float)):
        return str(given)
    if isinstance(given, Sequence) and not isinstance(given, (bytes, bytearray, memoryview)):
        texts = [str(one) for one in given if not isinstance(one, Identifier)]
        if len(texts) == len(given):
            return _one_or_list(texts)
    raise TypeError(f"{type(given).__name__} is no value for {vr}")


def _written(
    elements: Mapping[int, tuple[str, Value]], encoding: Encoding, encode: Encode, charset: bytes, *, force: bool
) -> bytes:
    """All elements; `force` keeps `charset` for the items too, whatever they declare."""
    parts: list[bytes] = []
    own = elements.get(CHARACTER_SET)
    if own is not None and not force:
        charset = _text_of(own[1]).encode("ascii", "replace")
    for tag, (vr, value) in elements.items():
        if force and tag == CHARACTER_SET:
            value = UTF8  # noqa: PLW2901  an item that declared another one
        if vr in _TEXT_VRS:
            text = value if isinstance(value, str) else _text_of(value)
            if text.isascii():
                raw = text.encode()
            else:
                # Other representations know ASCII only; what a stranger wrote there goes back as it came.
                raw = encode(text, charset, vr == "PN") if vr in _IN_CHARACTER_SET else text.encode("latin-1", "replace")
        elif vr == "SQ":
            raw = b"".join(_item(one, encoding, encode, charset, force=force) for one in value if isinstance(one, Identifier))
        elif isinstance(value, bytes):
            raw = value
        else:
            raw = write_numbers(tag, vr, _text_of(value), encoding)
        if len(raw) & 1:
            raw += b"\0" if vr == "UI" or vr in _BYTES else b" "
        parts.append(_head_written(tag, vr, len(raw), encoding))
        parts.append(raw)
    return b"".join(parts)


def _item(item: Identifier, encoding: Encoding, encode: Encode, charset: bytes, *, force: bool) -> bytes:
    raw = _written(item._elements, encoding, encode, charset, force=force)
    return _head_written(_ITEM, "", len(raw), encoding) + raw


def _text_of(value: Value) -> str:
    return value if isinstance(value, str) else "\\".join(one for one in value if isinstance(one, str))


def _head_written(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    if encoding.implicit or tag == _ITEM:
        return encoding.implicit_head.pack(tag >> 16, tag & 0xFFFF, length)
    if vr not in _LONG_VRS:
        if length <= _MAX_SHORT:
            return encoding.short_head.pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)
        vr = "UN"  # a list of UIDs that is longer than its VR can say (PS3.5 6.2.2 note 4)
    return encoding.long_head.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
