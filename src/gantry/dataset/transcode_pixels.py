"""Compressed pixels to plain ones, in explicit VR little endian: the heads here, the pixels in another process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from gantry.dataset.elements import tag_name
from gantry.dataset.encodings import EXPLICIT_LITTLE, UNDEFINED_LENGTH, looks_right
from gantry.dataset.sequences import SequenceWalk
from gantry.dataset.transcode_decoders import decode
from gantry.dataset.transcode_errors import CannotDecode, DamagedDataSet, TooMuch
from gantry.dataset.transcode_pieces import Scratch, write_all

#: What the extra `pixels` can decode (PS3.5 A.4, 10): RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K.
COMPRESSED = frozenset({
    "1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{tail}" for tail in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)),
})  # fmt: skip
#: Of these the samples are kept as they were coded; of the others colours come out as RGB.
_EXACT = frozenset({"1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{tail}" for tail in (57, 70, 80, 81))})
#: A length has 32 bits, and is even (PS3.5 7.1.1).
_LARGEST = 0xFFFFFFFE
_MAX_ELEMENTS = 100_000
_STEP = 1 << 20

_PIXEL_DATA = 0x7FE00010
_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
_OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002})
#: Of the image pixel module (PS3.3 C.7.6.3): what is a number, and what is text.
_NUMBERS = {
    0x00280002: "samples_per_pixel", 0x00280010: "rows", 0x00280011: "columns", 0x00280100: "bits_allocated",
    0x00280101: "bits_stored", 0x00280103: "pixel_representation",
}  # fmt: skip
_FRAMES = 0x00280008
_REPLACED = {_PHOTOMETRIC: "CS", _PLANAR: "US"}
_SHORT_HEAD, _LONG_HEAD = Struct("<HH2sH"), Struct("<HH2sHI")


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    head: int
    value: int
    end: int
    undefined: bool


def _elements(data: memoryview) -> Iterator[_Element]:
    """The elements of the data set itself, sequences as one. Raises DamagedDataSet."""
    position, end = 0, len(data)
    for _ in range(_MAX_ELEMENTS):
        if position == end:
            return
        if position + 8 > end:
            raise DamagedDataSet("it ends inside an element")
        raw_tag, vr, length = EXPLICIT_LITTLE.explicit_header.unpack_from(data, position)
        tag, value = EXPLICIT_LITTLE.tag(raw_tag), position + 8
        if vr in EXPLICIT_LITTLE.long_vrs and position + 12 <= end:
            (length,) = EXPLICIT_LITTLE.long_length.unpack_from(data, value)
            value += 4
        elif vr not in EXPLICIT_LITTLE.short_vrs:
            raise DamagedDataSet(f"{tag_name(tag)} has an unknown VR")
        if length == UNDEFINED_LENGTH:
            walk = SequenceWalk(data, value, EXPLICIT_LITTLE, EXPLICIT_LITTLE.vr_name(vr), _MAX_ELEMENTS)
            if not walk.closed or walk.warnings:
                raise DamagedDataSet(f"{tag_name(tag)} does not end as it should")
            after = walk.position
        else:
            after = value + length
        if after > end:
            raise DamagedDataSet(f"the value of {tag_name(tag)} is longer than the data set")
        yield _Element(tag, position, value, after, length == UNDEFINED_LENGTH)
        position = after
    raise TooMuch(f"the data set has more than {_MAX_ELEMENTS} elements")


def decoded(data: memoryview, source_syntax: str, scratch: Scratch) -> list[memoryview]:
    """The data set with plain pixels, as views in order. A data set without pixels is given as it is.

    Raises CannotTranscode (its classes say why) and OSError.
    """
    if not looks_right(data, EXPLICIT_LITTLE):
        raise DamagedDataSet("the data set is not in explicit VR little endian, as its transfer syntax says")
    elements = list(_elements(data))
    pixels = next((element for element in elements if element.tag == _PIXEL_DATA), None)
    if pixels is None or not pixels.undefined:
        # Plain already, whatever the transfer syntax says; or none at all, as in a structured report.
        return [data]
    job = _job(data, elements, source_syntax)
    descriptor = scratch.file()
    try:
        for start in range(pixels.value, pixels.end, _STEP):
            write_all(descriptor, data[start : min(start + _STEP, pixels.end)])
        out = scratch.file()
        try:
            told = decode(job, descriptor, out)
            if os.fstat(out).st_size & 1:
                os.lseek(out, 0, os.SEEK_END)
                write_all(out, b"\0")
            plain = scratch.mapped(out)
        finally:
            os.close(out)
    finally:
        os.close(descriptor)
    if told["bits_allocated"] != job["bits_allocated"] or told["bytes"] != _bytes(job):
        raise CannotDecode("the decoder gives another number or size of samples than the data set says")
    return _assembled(data, elements, plain, told)


def _job(data: memoryview, elements: list[_Element], source_syntax: str) -> dict[str, str | int]:
    job: dict[str, str | int] = {"transfer_syntax_uid": source_syntax, "number_of_frames": 1, "pixel_keyword": "PixelData"}
    for element in elements:
        raw = bytes(data[element.value : min(element.end, element.value + 64)])
        if name := _NUMBERS.get(element.tag):
            if len(raw) != 2:
                raise DamagedDataSet(f"{tag_name(element.tag)} is no single number")
            job[name] = int.from_bytes(raw, "little")
        elif element.tag == _FRAMES and raw.strip(b" \0"):
            if not raw.strip(b" \0").isdigit():
                raise DamagedDataSet(f"{tag_name(_FRAMES)} is no number")
            job["number_of_frames"] = int(raw.strip(b" \0")[:12])
        elif element.tag == _PHOTOMETRIC:
            job["photometric_interpretation"] = raw.decode("ascii", "replace").strip(" \0")
        elif element.tag == _PLANAR and len(raw) == 2:
            job["planar_configuration"] = int.from_bytes(raw, "little")
    missing = sorted({*_NUMBERS.values(), "photometric_interpretation"} - job.keys())
    if missing:
        raise DamagedDataSet(f"the data set has pixels, but no {', '.join(missing).replace('_', ' ')}")
    if job["bits_allocated"] not in {8, 16, 32}:
        raise CannotDecode(f"pixels of {job['bits_allocated']} bits are not decoded")
    if not 0 < _bytes(job) <= _LARGEST:
        raise TooMuch("the plain pixels would be longer than one element can be")
    job["raw"] = int(source_syntax in _EXACT)
    return job


def _bytes(job: dict[str, str | int]) -> int:
    total = 1
    for name in ("rows", "columns", "samples_per_pixel", "number_of_frames", "bits_allocated"):
        total *= int(job[name])
    return total // 8


def _assembled(data: memoryview, elements: list[_Element], plain: memoryview, told: dict[str, str | int]) -> list[memoryview]:
    """The heads as they were, but for what has changed: colours, order of samples, offset tables, group lengths."""
    new = {_PHOTOMETRIC: str(told["photometric_interpretation"]).encode("ascii")}
    new[_PHOTOMETRIC] += b" " * (len(new[_PHOTOMETRIC]) & 1)
    if told["samples_per_pixel"] != 1:
        new[_PLANAR] = b"\0\0"
    views: list[memoryview] = []
    for element in elements:
        while new and min(new) <= element.tag:
            tag = min(new)
            value = new.pop(tag)
            views.append(memoryview(_SHORT_HEAD.pack(tag >> 16, tag & 0xFFFF, _REPLACED[tag].encode(), len(value)) + value))
        if element.tag == _PIXEL_DATA:
            vr = b"OB" if told["bits_allocated"] == 8 else b"OW"
            views += [memoryview(_LONG_HEAD.pack(0x7FE0, 0x0010, vr, 0, len(plain))), plain]
        elif element.tag not in _REPLACED and element.tag not in _OFFSET_TABLES and element.tag & 0xFFFF:
            views.append(data[element.head : element.end])
    return _merged(data, views)


def _merged(data: memoryview, views: list[memoryview]) -> list[memoryview]:
    """Small ones as one, so that none of hundreds of tiny pieces goes out alone."""
    merged: list[memoryview] = []
    small = bytearray()
    for view in views:
        if len(view) < 4096:
            small += view
            continue
        if small:
            merged.append(memoryview(bytes(small)))
            small.clear()
        merged.append(view)
    if small:
        merged.append(memoryview(bytes(small)))
    return merged
