"""The attributes of a held object, as far as they can be read: for a person who decides about it.

Nothing of it may be trusted: no tree is built, sequences are passed by, and what is damaged ends the list with a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gantry.dataset import DatasetError, read_part10
from gantry.dataset.edit_errors import CannotEdit
from gantry.dataset.edit_paths import name_of
from gantry.dataset.edit_tree import CHARACTER_SET, PIXEL_GROUP, Entry, Tree
from gantry.dataset.edit_values import decode_values
from gantry.dataset.elements import tag_name
from gantry.dataset.encodings import UNDEFINED_LENGTH, Encoding, declared_encoding, detect_encoding, is_deflated, looks_right

#: So much of the file is looked at.
HEAD_BYTES = 1024 * 1024
MAX_ATTRIBUTES = 500
MAX_TEXT = 256
#: Longer values are told by their length.
_MAX_READ = 4096
#: PS3.6, group 0010: who the patient is; and who else can be recognised by name.
_PATIENT_GROUP = 0x0010
_PEOPLE = frozenset({"PN"})


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `personal`: it may say who the patient is. `text` None: a value that is not shown."""

    tag: str
    keyword: str
    vr: str
    length: int
    text: str | None
    personal: bool


@dataclass(frozen=True, slots=True)
class HeldHeader:
    """What was read, and why it ends where it ends (empty: at the pixels or the end)."""

    attributes: list[Attribute]
    note: str


def read_header(path: Path) -> HeldHeader:
    """The attributes on the top level before the pixels. Raises DatasetError for what is no DICOM, OSError."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    part = read_part10(memoryview(head), total=size)
    if is_deflated(part.transfer_syntax_uid):
        return HeldHeader([], "the data set is deflated; it is not unpacked here")
    data = memoryview(head)[part.dataset_offset :]
    encoding = declared_encoding(part.transfer_syntax_uid)
    if not looks_right(data, encoding):
        encoding = detect_encoding(data, start=0, total=len(data)) or encoding
    return _walk(data, encoding, cut=size > len(head))


def _walk(data: memoryview, encoding: Encoding, *, cut: bool) -> HeldHeader:
    found: list[Attribute] = []
    reader = Reader(data, encoding)
    charset = b""
    try:
        for entry in reader:
            if entry.tag >> 16 >= PIXEL_GROUP:
                return HeldHeader(found, "")
            if len(found) == MAX_ATTRIBUTES:
                return HeldHeader(found, f"only the first {MAX_ATTRIBUTES} attributes are shown")
            if entry.tag == CHARACTER_SET and entry.length <= _MAX_READ:
                charset = bytes(data[entry.value : entry.end])
            found.append(_attribute(data, entry, charset, encoding))
    except CannotEdit as error:
        return HeldHeader(found, "the rest lies behind the first megabyte" if cut else f"it is damaged here: {error}")
    return HeldHeader(found, "")


class Reader(Tree):
    """Elements one by one, so that those before the damage are seen too."""

    def __init__(self, data: memoryview, encoding: Encoding) -> None:  # the tree would read to the end
        self.data = data
        self.encoding = encoding
        self._budget = MAX_ATTRIBUTES * 100

    def __iter__(self) -> Reader:
        self._position = 0
        return self

    def __next__(self) -> Entry:
        """The next element. Raises CannotEdit for one that cannot be read."""
        if self._position >= len(self.data):
            raise StopIteration
        if self._position + 8 > len(self.data):
            raise CannotEdit("the data set ends inside of an element")
        raw_tag, length = self.encoding.implicit_pair.unpack_from(self.data, self._position)
        tag = self.encoding.tag(raw_tag)
        if tag >> 16 >= PIXEL_GROUP and tag >> 16 != 0xFFFE:
            self._position = len(self.data)
            return Entry(tag, "")
        entry = self._entry(self._position, tag, length, len(self.data))
        self._position = entry.end
        return entry


def _attribute(data: memoryview, entry: Entry, charset: bytes, encoding: Encoding) -> Attribute:
    name = name_of(entry.tag)
    text: str | None = None
    length = entry.length if entry.length != UNDEFINED_LENGTH else entry.end - entry.value
    if entry.vr != "SQ" and length <= _MAX_READ:
        try:
            values = decode_values(bytes(data[entry.value : entry.end]), entry.vr, charset, encoding, name)
            text = "\\".join(values)[: MAX_TEXT + 1].replace("\0", "")
            text = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\u2026"
        except (CannotEdit, UnicodeError):
            text = None
    personal = entry.tag >> 16 == _PATIENT_GROUP or entry.vr in _PEOPLE or bool(entry.tag >> 16 & 1) or _free(entry.vr)
    return Attribute(tag_name(entry.tag), "" if name.startswith("(") else name, entry.vr, length, text, personal)


def _free(vr: str) -> bool:
    """Texts in which anything may stand."""
    return vr in {"LO", "LT", "SH", "ST", "UC", "UT", "UN", ""}


__all__ = ["Attribute", "DatasetError", "HeldHeader", "read_header"]
