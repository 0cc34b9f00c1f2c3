"""Files for tests: real ones out of pydicom's package, and small generated ones, written without pydicom."""

from __future__ import annotations

import struct
from pathlib import Path

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.10.1338"
_LONG = {"OB", "OW", "SQ", "UN", "UT"}


def element(group: int, number: int, vr: str, value: bytes) -> bytes:
    """One explicit VR little endian element (PS3.5 7.1.2), padded to even length."""
    if len(value) % 2:
        value += b"\0" if vr in {"UI", "OB", "UN"} else b" "
    head = struct.pack("<HH2s", group, number, vr.encode("ascii"))
    return head + (struct.pack("<HI", 0, len(value)) if vr in _LONG else struct.pack("<H", len(value))) + value


def text(value: object) -> bytes:
    return str(value).encode("utf-8")


def ct_dataset(
    *,
    number: int = 1,
    study: str = f"{ROOT}.1",
    series: str = f"{ROOT}.1.1",
    instance: str = "",
    patient_id: str = "TEST-1",
    patient_name: str = "Test^Anna",
    modality: str = "CT",
    side: int = 16,
    fill: int = 0,
    sop_class: str = CT_IMAGE_STORAGE,
) -> bytes:
    """The data set of a small CT, explicit VR little endian."""
    instance = instance or f"{series}.{number}"
    pixels = struct.pack("<H", (number + fill) & 0xFFFF) * (side * side)
    return b"".join(
        [
            element(0x0008, 0x0005, "CS", b"ISO_IR 192"),
            element(0x0008, 0x0008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL"),
            element(0x0008, 0x0016, "UI", text(sop_class)),
            element(0x0008, 0x0018, "UI", text(instance)),
            element(0x0008, 0x0020, "DA", b"20240229"),
            element(0x0008, 0x0030, "TM", b"101500"),
            element(0x0008, 0x0050, "SH", b"ACC-1"),
            element(0x0008, 0x0060, "CS", text(modality)),
            element(0x0008, 0x0070, "LO", b"Gantry tests"),
            element(0x0008, 0x1030, "LO", b"Test study"),
            element(0x0008, 0x103E, "LO", b"Test series"),
            element(0x0010, 0x0010, "PN", text(patient_name)),
            element(0x0010, 0x0020, "LO", text(patient_id)),
            element(0x0010, 0x0030, "DA", b"19700101"),
            element(0x0010, 0x0040, "CS", b"O"),
            element(0x0018, 0x0015, "CS", b"CHEST"),
            element(0x0020, 0x000D, "UI", text(study)),
            element(0x0020, 0x000E, "UI", text(series)),
            element(0x0020, 0x0010, "SH", b"1"),
            element(0x0020, 0x0011, "IS", b"1"),
            element(0x0020, 0x0013, "IS", text(number)),
            element(0x0028, 0x0002, "US", struct.pack("<H", 1)),
            element(0x0028, 0x0004, "CS", b"MONOCHROME2"),
            element(0x0028, 0x0010, "US", struct.pack("<H", side)),
            element(0x0028, 0x0011, "US", struct.pack("<H", side)),
            element(0x0028, 0x0100, "US", struct.pack("<H", 16)),
            element(0x0028, 0x0101, "US", struct.pack("<H", 16)),
            element(0x0028, 0x0102, "US", struct.pack("<H", 15)),
            element(0x0028, 0x0103, "US", struct.pack("<H", 0)),
            element(0x7FE0, 0x0010, "OW", pixels),
        ]
    )


def part10(dataset: bytes, *, sop_class: str, instance: str, syntax: str = EXPLICIT_LITTLE_ENDIAN) -> bytes:
    """Preamble, DICM, group 0002 and the data set (PS3.10 7.1)."""
    meta = b"".join(
        [
            element(0x0002, 0x0001, "OB", b"\0\1"),
            element(0x0002, 0x0002, "UI", text(sop_class)),
            element(0x0002, 0x0003, "UI", text(instance)),
            element(0x0002, 0x0010, "UI", text(syntax)),
            element(0x0002, 0x0012, "UI", text(f"{ROOT}.9")),
            element(0x0002, 0x0013, "SH", b"GANTRY_TESTS"),
        ]
    )
    return bytes(128) + b"DICM" + element(0x0002, 0x0000, "UL", struct.pack("<I", len(meta))) + meta + dataset


def write_series(folder: Path, count: int, **changes: object) -> list[Path]:
    """Write `count` CT slices of one series; `changes` are the arguments of ct_dataset()."""
    folder.mkdir(parents=True, exist_ok=True)
    series = str(changes.get("series", f"{ROOT}.1.1"))
    sop_class = str(changes.get("sop_class", CT_IMAGE_STORAGE))
    paths = []
    for number in range(1, count + 1):
        instance = str(changes.get("instance", "")) or f"{series}.{number}"
        dataset = ct_dataset(**{**changes, "number": number, "instance": instance})  # type: ignore[arg-type]
        path = folder / f"{number:05d}.dcm"
        path.write_bytes(part10(dataset, sop_class=sop_class, instance=instance))
        paths.append(path)
    return paths


def dataset_of(path: Path) -> bytes:
    """The data set bytes of a Part 10 file with a correct group length, by a few lines of our own."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM", path
    assert data[132:140] == b"\x02\x00\x00\x00UL\x04\x00", path
    (length,) = struct.unpack_from("<I", data, 140)
    return data[144 + length :]


def packaged() -> list[Path]:
    """The sound Part 10 files packed with pydicom (no download)."""
    import pydicom.data

    folder = Path(pydicom.data.__file__).parent / "test_files"
    found = []
    for path in sorted(folder.rglob("*.dcm")):
        head = path.read_bytes()[:140]
        if head[128:132] == b"DICM" and head[132:140] == b"\x02\x00\x00\x00UL\x04\x00":
            found.append(path)
    return found
