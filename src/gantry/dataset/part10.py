"""Recognises DICOM files and reads where their data set begins (PS3.10 chapter 7)."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.dataset.encodings import declared_encoding, detect_encoding
from gantry.dataset.envelope import (
    PRIVATE_INFORMATION_CREATOR_UID,
    Envelope,
    build_prefix,
    read_private_information,
)
from gantry.dataset.errors import DamagedHeader, NotDicom
from gantry.dataset.filemeta import FileMeta, begins_file_meta, read_file_meta

__all__ = ["DICOMDIR_UID", "DamagedHeader", "Envelope", "NotDicom", "Part10", "build_prefix", "read_part10"]

#: The SOP class of a DICOMDIR: an index of other files, no instance of a study.
DICOMDIR_UID = "1.2.840.10008.1.3.10"

_MAGIC = b"DICM"
_PREAMBLE = 128
_SMALLEST = 8
_OTHER_FORMATS = (
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 code stream"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"\xd0\xcf\x11\xe0", "an OLE document, such as Thumbs.db"),
    (b"\0\0\0\x01Bud1", "a .DS_Store file of macOS"),
)
_TAR = (257, b"ustar")
_PREAMBLES = (
    (b"MZ", "the preamble begins like a Windows program"),
    (b"\x7fELF", "the preamble begins like a program"),
    (b"#!", "the preamble begins like a script"),
    (b"II*\0", "the preamble begins like a TIFF image"),
    (b"MM\0*", "the preamble begins like a TIFF image"),
    (b"II+\0", "the preamble begins like a TIFF image"),
    (b"MM\0+", "the preamble begins like a TIFF image"),
)
_TEXT = frozenset((*range(0x20, 0x7F), *b"\t\r\n\f"))


@dataclass(frozen=True, slots=True)
class Part10:
    """A DICOM file: where its data set begins, and what group 0002 says ("" where it says nothing).

    `transfer_syntax_uid` is never empty: where the file does not tell, it is what the bytes look like.
    `envelope` is there when the file meta information is our own.
    """

    dataset_offset: int
    transfer_syntax_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    envelope: Envelope | None
    warnings: tuple[str, ...]


def read_part10(head: memoryview, *, total: int) -> Part10:
    """Reads the beginning of a file of `total` bytes; 64 KB of it are plenty.

    Raises NotDicom (the reason says what it is) and DamagedHeader. Takes files without preamble,
    without file meta information, with a wrong group length or group 0002 in implicit VR.
    """
    if total == 0 or len(head) == 0:
        raise NotDicom("an empty file")
    if bytes(head[_PREAMBLE : _PREAMBLE + 4]) == _MAGIC:
        return _after_magic(head, _PREAMBLE + 4, total, _preamble_warnings(head))
    if bytes(head[:4]) == _MAGIC:
        return _after_magic(head, 4, total, ["the preamble is missing"])
    if begins_file_meta(head, 0):
        return _with_meta(head, 0, total, ["the preamble is missing"])
    _refuse_other_formats(head, total)
    for offset in (0, _PREAMBLE):
        encoding = detect_encoding(head, start=offset, total=total)
        if encoding is not None:
            warning = f"the file meta information is missing; {encoding.name} was recognised"
            return Part10(offset, encoding.uid, "", "", None, (warning,))
    raise NotDicom(_what_it_is(head))


def _after_magic(head: memoryview, start: int, total: int, warnings: list[str]) -> Part10:
    if total <= start:
        raise DamagedHeader("nothing follows the preamble")
    if begins_file_meta(head, start):
        return _with_meta(head, start, total, warnings)
    encoding = detect_encoding(head, start=start, total=total)
    if encoding is None:
        raise DamagedHeader("no elements follow the preamble")
    warnings.append(f"the file meta information is missing; {encoding.name} was recognised")
    return Part10(start, encoding.uid, "", "", None, tuple(warnings))


def _with_meta(head: memoryview, start: int, total: int, warnings: list[str]) -> Part10:
    meta = read_file_meta(head, start, total=total)
    warnings += meta.warnings
    syntax = meta.text(0x0010)
    offset = meta.dataset_offset
    if not syntax:
        encoding = detect_encoding(head, start=offset, total=total) or declared_encoding("")
        syntax = encoding.uid
        warnings.append(f"the transfer syntax is missing; {encoding.name} was recognised")
    if offset >= total:
        warnings.append("the data set is empty")
    envelope = _envelope(meta, syntax, warnings)
    return Part10(offset, syntax, meta.text(0x0002), meta.text(0x0003), envelope, tuple(warnings))


def _envelope(meta: FileMeta, syntax: str, warnings: list[str]) -> Envelope | None:
    if meta.text(0x0100) != PRIVATE_INFORMATION_CREATOR_UID:
        return None
    envelope = read_private_information(
        meta.values.get(0x0102, b""),
        sop_class_uid=meta.text(0x0002),
        sop_instance_uid=meta.text(0x0003),
        transfer_syntax_uid=syntax,
        calling_aet=meta.text(0x0016),
        called_aet=meta.text(0x0018),
    )
    if envelope is None:
        warnings.append("our private information is damaged")
    return envelope


def _preamble_warnings(head: memoryview) -> list[str]:
    return [warning for signature, warning in _PREAMBLES if bytes(head[: len(signature)]) == signature]


def _refuse_other_formats(head: memoryview, total: int) -> None:
    for signature, reason in _OTHER_FORMATS:
        if bytes(head[: len(signature)]) == signature:
            raise NotDicom(reason)
    at, signature = _TAR
    if bytes(head[at : at + len(signature)]) == signature:
        raise NotDicom("a tar archive: unpack it first")
    if total < _SMALLEST:
        raise NotDicom("too short for DICOM")


def _what_it_is(head: memoryview) -> str:
    beginning = bytes(head[:512])
    if not set(beginning) - _TEXT:
        return "a text file"
    return "neither the mark DICM nor elements of a data set were found"
