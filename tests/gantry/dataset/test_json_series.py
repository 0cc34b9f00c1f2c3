"""The metadata of many instances are, each, what they are alone."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import pydicom
from tests.support import part10_files
from tests.support.part10_files import element

from gantry.dataset.attributes import read_attributes
from gantry.dataset.errors import DatasetError
from gantry.dataset.json_model import to_json
from gantry.dataset.json_series import SeriesWriter
from gantry.dataset.part10 import read_part10

BULK = "/dicomweb/studies/1/series/2/instances/3/bulkdata"
EXPLICIT = "1.2.840.10008.1.2.1"


def alone(data: bytes, syntax: str, bulk: str, *, shown_only: bool) -> object:
    attributes = read_attributes(lambda at, count: data[at : at + count], len(data), syntax)
    return json.loads(json.dumps(to_json(attributes, bulk, shown_only=shown_only)))


def by(writer: SeriesWriter, data: bytes, syntax: str, bulk: str = BULK) -> object:
    texts = writer.write(lambda at, count: data[at : at + count], len(data), syntax, bulk)
    found = json.loads("{" + ",".join(texts.values()) + "}")
    assert list(found) == [f"{tag:08X}" for tag in texts]
    return found


def packaged() -> list[tuple[bytes, str]]:
    found = []
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        content = path.read_bytes()
        try:
            part10 = read_part10(memoryview(content), total=len(content))
        except DatasetError:
            continue
        found.append((content[part10.dataset_offset :], part10.transfer_syntax_uid))
    assert len(found) > 50
    return found


def test_files_of_any_kind_one_after_the_other() -> None:
    for shown_only in (False, True):
        writer = SeriesWriter(shown_only=shown_only)
        for number, (data, syntax) in enumerate(packaged()):
            bulk = f"{BULK}/{number}"
            wanted = alone(data, syntax, bulk, shown_only=shown_only)
            assert by(writer, data, syntax, bulk) == wanted
            assert by(writer, data, syntax, bulk) == wanted  # all of it remembered


def test_damaged_copies_after_the_whole_one() -> None:
    chance = random.Random(6)
    for data, syntax in packaged()[::4]:
        writer = SeriesWriter()
        by(writer, data, syntax)
        for _ in range(12):
            bad = bytearray(data[:6000])
            for _ in range(chance.randrange(1, 6)):
                bad[chance.randrange(len(bad))] = chance.randrange(256)
            bad = bad[: chance.randrange(8, len(bad) + 1)]
            assert by(writer, bytes(bad), syntax) == alone(bytes(bad), syntax, BULK, shown_only=False)


def test_the_character_set_and_the_bits_of_the_pixels_decide_what_equal_bytes_say() -> None:
    name = element(0x10, 0x10, "PN", b"Gr\xfc\xdfe^J\xc3\xb6rg")
    smallest = struct.pack("<HH2sHI", 0x28, 0x106, b"UN", 0, 2) + struct.pack("<h", -5)

    def made(charset: bytes, *, signed: bool) -> bytes:
        head = element(8, 5, "CS", charset) if charset else b""
        return head + name + element(0x28, 0x103, "US", struct.pack("<H", signed)) + smallest

    writer = SeriesWriter()
    seen = set()
    for charset, signed in (
        (b"ISO_IR 100", False),
        (b"ISO_IR 192", False),
        (b"", True),
        (b"ISO_IR 100", True),
        (b"ISO_IR 100", False),
    ):
        data = made(charset, signed=signed)
        got = by(writer, data, EXPLICIT)
        assert got == alone(data, EXPLICIT, BULK, shown_only=False)
        seen.add(json.dumps(got))
    assert len(seen) == 4


def test_large_values_lead_to_their_own_instance() -> None:
    data = part10_files.ct_dataset(number=1)[: part10_files.ct_dataset(number=1).index(b"\xe0\x7f\x10\x00")]
    data += element(0x5400, 0x110, "OB", bytes(4000))
    writer = SeriesWriter()
    for number in (1, 2):
        found = by(writer, data, EXPLICIT, f"/i/{number}")
        assert isinstance(found, dict)
        assert found["54000110"]["BulkDataURI"] == f"/i/{number}/54000110"
