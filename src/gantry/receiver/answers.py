"""Rows of the index as identifiers of C-FIND answers.

What is plain ASCII, which is nearly all, is put together from the bytes that the database gave and element heads that
are made once for a question. The rest goes through `dimse.identifier`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dimse.dictionary import tag_of, vr_of
from dimse.identifier import CHARACTER_SET, UTF8, Identifier, IdentifierError, Value
from dimse.operations import Match
from dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from gantry.catalogue.attributes import Attribute
from gantry.catalogue.query import AS_JSON, Page, Query
from gantry.dataset.encode import encode_text

_LEVEL, _RETRIEVE_AET, _AVAILABILITY = tag_of("QueryRetrieveLevel"), tag_of("RetrieveAETitle"), tag_of("InstanceAvailability")
#: Their values are the text itself.
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI"})
_SHORT_HEAD, _MOST = 8, 0xFFFE
#: Heads of elements with values up to this length are made once and kept.
_USUAL = 64
#: Lists (modalities of studies) that are remembered as values, per question.
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: the query, whether the index has all of its keys, and what each answer needs besides."""

    query: Query
    complete: bool
    charset: Value
    availability: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """An element of every answer: `heads[0]` is all of it when `column` is negative, else by the length of the value: tag,
    VR and length, up to _USUAL; `tag` is what precedes the length."""

    heads: tuple[bytes, ...]
    column: int = -1
    padding: bytes = b" "
    as_json: bool = False
    tag: bytes = b""


@lru_cache(maxsize=512)
def _element(tag: int, vr: str, value: str, syntax: str) -> bytes:
    return Identifier.made({tag: (vr, value)}).encode(syntax)


@lru_cache(maxsize=512)
def _heads(tag: bytes, length: struct.Struct) -> tuple[bytes, ...]:
    return tuple(tag + length.pack(size) for size in range(_USUAL + 1))


_LONG_LENGTH, _SHORT_LENGTH = struct.Struct("<L"), struct.Struct("<H")


class Answers:
    """Makes identifiers of rows, in one transfer syntax."""

    def __init__(self, question: Question, aet: str, transfer_syntax_uid: str) -> None:
        self._question = question
        self._syntax = transfer_syntax_uid
        self._shown: Sequence[Attribute] | None = None
        self._pieces: list[_Piece] | None = None
        self._length = _LONG_LENGTH if transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN else _SHORT_LENGTH
        self._lists: dict[bytes, bytes | None] = {}
        self._same: dict[int, tuple[str, str]] = {
            _LEVEL: ("CS", question.query.level),
            _RETRIEVE_AET: ("AE", aet),
        }
        if question.availability:
            self._same[_AVAILABILITY] = "CS", "ONLINE"

    def matches(self, page: Page) -> Iterator[Match]:
        """A pending answer for each row; after the last one of a page that is not the last one, the database is waited for."""
        if self._shown is not page.shown:
            self._shown = page.shown
            self._pieces = self._planned(page.shown)
        complete = self._question.complete
        waits = -1 if page.last else len(page.raw) - 1
        for number, row in enumerate(page.raw):
            data = self._quick(self._pieces, row) if self._pieces is not None else None
            yield Match(self._thorough(page, row) if data is None else data, complete, number != waits)

    def _planned(self, shown: Sequence[Attribute]) -> list[_Piece] | None:
        """The elements in the order of their tags; None when bytes cannot be taken as they are."""
        if self._syntax not in {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN}:
            return None
        pieces = {tag: _Piece((_element(tag, vr, value, self._syntax),)) for tag, (vr, value) in self._same.items()}
        for column, one in enumerate(shown):
            tag = tag_of(one.keyword)
            vr = vr_of(tag)
            head = _element(tag, vr, "", self._syntax) if vr in _TEXT_VRS else b""
            if len(head) != _SHORT_HEAD:
                return None
            before = head[: -self._length.size]
            padding = b"\0" if vr == "UI" else b" "
            pieces[tag] = _Piece(_heads(before, self._length), column, padding, one.kind in AS_JSON, before)
        return [pieces[tag] for tag in sorted(pieces)]

    def _quick(self, pieces: Sequence[_Piece], row: Sequence[bytes | None]) -> bytes | None:
        """None when the row is not plain ASCII."""
        values = [raw or b"" for raw in row]
        if not b"".join(values).isascii():
            return None
        parts: list[bytes] = []
        for piece in pieces:
            column = piece.column
            if column < 0:
                parts += piece.heads
                continue
            raw = values[column]
            if piece.as_json and raw:
                listed = self._listed(raw)
                if listed is None:
                    return None
                raw = listed
            size = len(raw)
            if size & 1:
                raw += piece.padding
                size += 1
            if size <= _USUAL:
                parts += (piece.heads[size], raw)
            elif size <= _MOST:
                parts += (piece.tag, self._length.pack(size), raw)
            else:
                return None
        return b"".join(parts)

    def _listed(self, raw: bytes) -> bytes | None:
        """The value that JSON tells; None when it is not plain ASCII (it may be escaped in there)."""
        if raw in self._lists:
            return self._lists[raw]
        value = json.loads(raw)
        text = value if isinstance(value, str) else "\\".join(value)
        listed = text.encode() if text.isascii() else None
        if len(self._lists) < _REMEMBERED:
            self._lists[raw] = listed
        return listed

    def _thorough(self, page: Page, row: Sequence[bytes | None]) -> bytes:
        elements: dict[int, tuple[str, Value]] = {**self._same}
        plain = True
        for keyword, value in page.read(row).items():
            tag = tag_of(keyword)
            elements[tag] = vr_of(tag), value
            plain = plain and (value if isinstance(value, str) else "".join(value)).isascii()
        if not plain:
            # encode() takes UTF-8 where the text does not fit.
            elements[CHARACTER_SET] = "CS", self._question.charset or UTF8
        try:
            return Identifier.made(elements).encode(self._syntax, encode=encode_text)
        except IdentifierError as error:  # a header value that is no number: left out
            elements.pop(error.tag, None)
            return Identifier.made(elements).encode(self._syntax, encode=encode_text)
