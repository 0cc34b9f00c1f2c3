"""Hostile and odd files: whatever the bytes, a picture or a named error, in bounded time and memory."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from tests.support import part10_files
from tests.support.part10_files import element

from gantry.dataset.attributes import MAX_DEPTH, MAX_INFLATED, Attributes, read_attributes
from gantry.dataset.attributes_list import rows
from gantry.dataset.attributes_report import report_of
from gantry.dataset.errors import DatasetError
from gantry.dataset.frames import layout_of
from gantry.dataset.json_model import to_json
from gantry.dataset.part10 import read_part10
from gantry.dataset.render import View, render
from gantry.dataset.render_errors import Damaged, FrameMissing, NoPixels, NotDecodable, TooLarge

EXPLICIT = "1.2.840.10008.1.2.1"


def of(data: bytes, syntax: str = EXPLICIT) -> Attributes:
    return read_attributes(lambda offset, length: data[offset : offset + length], len(data), syntax)


def everything(data: bytes, syntax: str = EXPLICIT) -> None:
    """All that a viewer asks for; only named errors may come out."""
    attributes = of(data, syntax)
    json.dumps(to_json(attributes, "/x"), allow_nan=False)
    list(rows(attributes))
    report_of(attributes)
    with suppress(DatasetError):
        layout = layout_of(attributes, syntax)
        layout.pieces(1)
        layout.pieces(layout.number_of_frames)


def small(name: str) -> tuple[bytes, str]:
    content = Path(str(get_testdata_file(name, download=False))).read_bytes()
    part10 = read_part10(memoryview(content), total=len(content))
    return content[part10.dataset_offset :], part10.transfer_syntax_uid


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "rtdose_rle.dcm", "test-SR.dcm", "MR_small_implicit.dcm", "image_dfl.dcm"]
)
def test_any_damage_is_survived(name: str) -> None:
    data, syntax = small(name)
    data = data[:12_000]
    chance = random.Random(name)
    for _ in range(60):
        bad = bytearray(data)
        for _ in range(chance.randrange(1, 8)):
            bad[chance.randrange(min(len(bad), 4000))] = chance.randrange(256)
        everything(bytes(bad[: chance.randrange(1, len(bad))]), syntax)


def test_sequences_deeper_than_shown_end_the_reading_with_a_warning() -> None:
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    attributes = of(opening * 5000)
    assert any(f"more than {MAX_DEPTH} deep" in warning for warning in attributes.warnings)
    json.dumps(to_json(attributes, "/x"))


def test_a_bomb_is_opened_only_so_far() -> None:
    packer = zlib.compressobj(9, wbits=-15)
    head = part10_files.ct_dataset()
    bomb = packer.compress(head[: head.index(b"\xe0\x7f\x10\x00")])
    bomb += packer.compress(struct.pack("<HH2sHI", 0x0099, 0x1001, b"OB", 0, 1 << 31))
    for _ in range(64):
        bomb += packer.compress(bytes(1 << 20))
    bomb += packer.flush()
    attributes = of(bomb, "1.2.840.10008.1.2.1.99")
    assert attributes.size == MAX_INFLATED
    assert any("longer than what it lies in" in warning for warning in attributes.warnings)


def ct(**changes: object) -> bytes:
    return part10_files.ct_dataset(**changes)  # type: ignore[arg-type]


def altered(tag: bytes, value: bytes) -> bytes:
    """The CT with another value, of the same length, in one short element."""
    data = ct()
    at = data.index(tag) + 8
    return data[:at] + value + data[at + len(value) :]


CASES: list[tuple[str, Callable[[], bytes], str, type[DatasetError]]] = [
    ("no pixels", lambda: ct()[: ct().index(b"\xe0\x7f\x10\x00")], EXPLICIT, NoPixels),
    ("no rows", lambda: altered(b"\x28\0\x10\0US", b"\0\0"), EXPLICIT, Damaged),
    ("more rows than pixels", lambda: altered(b"\x28\0\x10\0US", b"\xff\xff"), EXPLICIT, Damaged),
    ("impossible bits", lambda: altered(b"\x28\0\x00\x01US", b"\x07\0"), EXPLICIT, Damaged),
    ("unknown syntax", lambda: ct()[:-524] + _encapsulated([b"x" * 20]), "1.2.840.10008.1.2.4.55", NotDecodable),
    ("no JPEG", lambda: ct()[:-524] + _encapsulated([b"\xff\xd8" + b"x" * 400]), "1.2.840.10008.1.2.4.50", NotDecodable),
    ("no fragments", lambda: ct()[:-524] + _encapsulated([]), "1.2.840.10008.1.2.4.50", Damaged),
    ("cut fragment", lambda: (ct()[:-524] + _encapsulated([b"x" * 400]))[:-200], "1.2.840.10008.1.2.4.50", Damaged),
    ("a video", lambda: ct()[:-524] + _encapsulated([b"x" * 400]), "1.2.840.10008.1.2.4.102", NotDecodable),
]


def _encapsulated(fragments: list[bytes]) -> bytes:
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in fragments)
    return head + body + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize(("data", "syntax", "error"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_cannot_be_shown_is_named(data: Callable[[], bytes], syntax: str, error: type[DatasetError]) -> None:
    attributes = of(data(), syntax)
    with pytest.raises(error) as caught:
        render(attributes, layout_of(attributes, syntax), 1, View())
    assert len(caught.value.reason) > 10


def test_limits_come_before_decoding() -> None:
    data = ct().replace(element(0x28, 0x10, "US", b"\x10\0"), element(0x28, 0x10, "US", b"\xff\xff"))
    data = data.replace(element(0x28, 0x11, "US", b"\x10\0"), element(0x28, 0x11, "US", b"\xff\xff"))
    with pytest.raises(TooLarge):
        layout_of(of(data), EXPLICIT)
    with pytest.raises(FrameMissing):
        layout_of(of(ct()), EXPLICIT).pieces(2)


def test_frames_by_offset_tables_and_by_end_marks() -> None:
    frames = [[b"\xff\xd8aaaa", b"bb\xff\xd9"], [b"\xff\xd8cccc\xff\xd9"], [b"\xff\xd8dd", b"ee", b"ff\xff\xd9\0"]]
    fragments = [one for frame in frames for one in frame]
    head = ct()[:-524].replace(
        element(0x28, 0x10, "US", b"\x10\0"), element(0x28, 0x08, "IS", b"3 ") + element(0x28, 0x10, "US", b"\x10\0")
    )
    offsets, position = [], 0
    for frame in frames:
        offsets.append(position)
        position += sum(8 + len(one) for one in frame)
    table = struct.pack("<3I", *offsets)
    plain = head + _encapsulated(fragments)
    basic = plain.replace(struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE000, 12) + table, 1)
    at = plain.index(b"\xe0\x7f\x10\x00")
    extended = plain[:at] + element(0x7FE0, 1, "OB", struct.pack("<3Q", *offsets)).replace(b"OB", b"OV", 1) + plain[at:]
    for data in (plain, basic, extended):
        layout = layout_of(of(data, "1.2.840.10008.1.2.4.50"), "1.2.840.10008.1.2.4.50")
        got = [b"".join(data[offset : offset + length] for offset, length in layout.pieces(number)) for number in (1, 2, 3)]
        assert got == [b"".join(frame) for frame in frames]


def test_json_of_every_packaged_file_can_be_written() -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    count = 0
    for path in sorted(folder.glob("*.dcm")):
        content = path.read_bytes()
        try:
            part10 = read_part10(memoryview(content), total=len(content))
        except DatasetError:
            continue
        everything(content[part10.dataset_offset :], part10.transfer_syntax_uid)
        count += 1
    assert count > 50
