"""Data sets for the benchmark, made from nothing, the same bytes on every machine.

    python -m bench.data [--scale 0.01] [--sets ct,small,multiframe]

ct: 1 000 CT of 527 KB, one study of 5 series. small: 5 000 MR of 10.9 KB, one study of 25 series. multiframe:
5 secondary captures of 200 MB (100 frames of 1024 x 1024 words). prelude: 50 small ones with other UIDs, sent
to every peer before the clock starts. All explicit VR little endian Part 10 files, no real person in them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import wire

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
MULTIFRAME_WORD_SC = "1.2.840.10008.5.1.4.1.1.7.3"
_VERSION = 1
_LONG = frozenset({"OB", "OW", "UN", "SQ", "UT"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How a set looks at full scale."""

    name: str
    instances: int
    series: int
    sop_class: str
    modality: str
    rows: int
    columns: int
    frames: int


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a set. `sha256` is of the data set, which begins at `offset` and has `length` bytes."""

    path: str
    sop_class: str
    sop_instance: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """A set on disk: a folder that holds nothing but its .dcm files."""

    name: str
    folder: Path
    study: str
    items: tuple[Item, ...]

    @property
    def dataset_bytes(self) -> int:
        """Bytes of all data sets together (as on the wire)."""
        return sum(item.length for item in self.items)


PLANS = {
    plan.name: plan
    for plan in (
        Plan("ct", 1000, 5, CT, "CT", 512, 512, 1),
        Plan("small", 5000, 25, MR, "MR", 64, 64, 1),
        Plan("multiframe", 5, 1, MULTIFRAME_WORD_SC, "OT", 1024, 1024, 100),
        Plan("prelude", 50, 1, MR, "MR", 64, 64, 1),
    )
}


def uid(*parts: object) -> str:
    """A UID that depends on nothing but `parts` (PS3.5 B.2: 2.25 and a 128 bit number)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def element(tag: int, vr: str, value: str | bytes) -> bytes:
    """One explicit VR little endian element, padded to even length."""
    raw = value.encode("ascii") if isinstance(value, str) else value
    if len(raw) % 2:
        raw += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    return head + (struct.pack("<HI", 0, len(raw)) if vr in _LONG else struct.pack("<H", len(raw))) + raw


def _sequence(tag: int, items: list[bytes]) -> bytes:
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return element(tag, "SQ", body)


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _identity(plan: Plan, number: int, series: int) -> list[tuple[int, str, str | bytes]]:
    study = uid(plan.name, "study")
    return [
        (0x00080005, "CS", "ISO_IR 100"),
        (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        (0x00080012, "DA", "20240131"),
        (0x00080013, "TM", "101500.000"),
        (0x00080016, "UI", plan.sop_class),
        (0x00080018, "UI", uid(plan.name, "instance", number)),
        (0x00080020, "DA", "20240131"),
        (0x00080021, "DA", "20240131"),
        (0x00080022, "DA", "20240131"),
        (0x00080023, "DA", "20240131"),
        (0x00080030, "TM", "101500.000"),
        (0x00080031, "TM", "101530.000"),
        (0x00080032, "TM", f"10{15 + number % 40:02d}{number % 60:02d}.000"),
        (0x00080033, "TM", f"10{15 + number % 40:02d}{number % 60:02d}.000"),
        (0x00080050, "SH", "BENCH0001"),
        (0x00080060, "CS", plan.modality),
        *([(0x00080064, "CS", "WSD")] if plan.frames > 1 else []),
        (0x00080070, "LO", "Bench Medical Systems"),
        (0x00080080, "LO", "Bench Hospital"),
        (0x00080090, "PN", "Referring^Doctor"),
        (0x00081010, "SH", "STATION1"),
        (0x00081030, "LO", "Benchmark study without a patient"),
        (0x0008103E, "LO", f"Benchmark series {series}"),
        (0x00081040, "LO", "Radiology"),
        (0x00081070, "PN", "Operator^One"),
        (0x00081090, "LO", "Model 64"),
        *_person(plan),
        *_acquisition(),
        (0x0020000D, "UI", study),
        (0x0020000E, "UI", uid(plan.name, "series", series)),
        (0x00200010, "SH", "1"),
        (0x00200011, "IS", str(series + 1)),
        (0x00200012, "IS", "1"),
        (0x00200013, "IS", str(number + 1)),
        (0x00200032, "DS", f"-180.000000\\-180.000000\\{number * 1.25:.6f}"),
        (0x00200037, "DS", "1.000000\\0.000000\\0.000000\\0.000000\\1.000000\\0.000000"),
        (0x00200052, "UI", uid(plan.name, "frame of reference")),
        (0x00201040, "LO", ""),
        (0x00201041, "DS", f"{number * 1.25:.6f}"),
    ]


def _person(plan: Plan) -> list[tuple[int, str, str | bytes]]:
    return [
        (0x00100010, "PN", "Bench^Mark"),
        (0x00100020, "LO", f"BENCH-{plan.name.upper()}"),
        (0x00100030, "DA", "19700101"),
        (0x00100040, "CS", "O"),
        (0x00101010, "AS", "054Y"),
        (0x00101030, "DS", "75"),
    ]


def _acquisition() -> list[tuple[int, str, str | bytes]]:
    return [
        (0x00180015, "CS", "CHEST"),
        (0x00180022, "CS", "HELICAL MODE"),
        (0x00180050, "DS", "1.250000"),
        (0x00180060, "DS", "120"),
        (0x00180090, "DS", "500.000000"),
        (0x00181020, "LO", "bench.1"),
        (0x00181030, "LO", "Bench protocol"),
        (0x00181100, "DS", "360.000000"),
        (0x00181110, "DS", "949.075012"),
        (0x00181111, "DS", "541.000000"),
        (0x00181120, "DS", "0.000000"),
        (0x00181130, "DS", "131.000000"),
        (0x00181140, "CS", "CW"),
        (0x00181150, "IS", "600"),
        (0x00181151, "IS", "180"),
        (0x00181152, "IS", "10"),
        (0x00181160, "SH", "BODY FILTER"),
        (0x00181170, "IS", "21600"),
        (0x00181190, "DS", "0.700000"),
        (0x00181210, "SH", "STANDARD"),
        (0x00185100, "CS", "FFS"),
    ]


def _pixel_module(plan: Plan) -> list[tuple[int, str, str | bytes]]:
    multi: list[tuple[int, str, str | bytes]] = []
    if plan.frames > 1:
        multi = [(0x00280008, "IS", str(plan.frames)), (0x00280009, "AT", struct.pack("<HH", 0x0018, 0x1063))]
    return [
        (0x00280002, "US", _us(1)),
        (0x00280004, "CS", "MONOCHROME2"),
        *multi,
        (0x00280010, "US", _us(plan.rows)),
        (0x00280011, "US", _us(plan.columns)),
        (0x00280030, "DS", "0.703125\\0.703125"),
        (0x00280100, "US", _us(16)),
        (0x00280101, "US", _us(16)),
        (0x00280102, "US", _us(15)),
        (0x00280103, "US", _us(0)),
        (0x00281050, "DS", "40"),
        (0x00281051, "DS", "400"),
        (0x00281052, "DS", "-1024"),
        (0x00281053, "DS", "1"),
        (0x00281054, "LO", "HU"),
    ]


def _header(plan: Plan, number: int) -> bytes:
    series = number * plan.series // plan.instances
    elements = [(tag, element(tag, vr, value)) for tag, vr, value in _identity(plan, number, series)]
    code = element(0x00080100, "SH", "T-D3000") + element(0x00080102, "SH", "SRT") + element(0x00080104, "LO", "Chest")
    elements.append((0x00081032, _sequence(0x00081032, [code])))
    if plan.frames > 1:
        elements.append((0x00181063, element(0x00181063, "DS", "40")))
    private = element(0x00090010, "LO", "BENCH PRIVATE") + element(0x00091001, "OB", bytes(range(1, 191)) * 4)
    elements.append((0x00090010, private))
    elements += [(tag, element(tag, vr, value)) for tag, vr, value in _pixel_module(plan)]
    return b"".join(raw for _, raw in sorted(elements))


def _meta(plan: Plan, number: int) -> bytes:
    body = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", plan.sop_class)
        + element(0x00020003, "UI", uid(plan.name, "instance", number))
        + element(0x00020010, "UI", wire.EXPLICIT_LE)
        + element(0x00020012, "UI", uid("bench"))
        + element(0x00020013, "SH", "BENCH")
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body


def _pixels(plan: Plan, number: int, noise: bytes) -> Iterator[bytes]:
    """Frames that differ between instances: windows into one random block, no zero pages, no two alike."""
    size = plan.rows * plan.columns * 2
    for frame in range(plan.frames):
        start = 2 * ((number * 131 + frame * 7919) % ((len(noise) - size) // 2))
        yield noise[start : start + size]


def _write_one(path: Path, plan: Plan, number: int, noise: bytes) -> Item:
    meta = _meta(plan, number)
    size = plan.rows * plan.columns * 2 * plan.frames
    head = _header(plan, number) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
    digest = hashlib.sha256(head)
    with path.open("wb") as file:
        file.write(meta + head)
        for frame in _pixels(plan, number, noise):
            digest.update(frame)
            file.write(frame)
    instance = uid(plan.name, "instance", number)
    return Item(path.name, plan.sop_class, instance, len(meta), len(head) + size, digest.hexdigest())


def _scaled(plan: Plan, scale: float) -> Plan:
    """A smaller plan: fewer instances; of multi-frames fewer frames too."""
    if scale >= 1 or plan.name == "prelude":
        return plan
    instances = max(2, round(plan.instances * scale))
    frames = max(2, round(plan.frames * scale)) if plan.frames > 1 else 1
    series = min(plan.series, instances)
    return Plan(plan.name, instances, series, plan.sop_class, plan.modality, plan.rows, plan.columns, frames)


def cache_folder() -> Path:
    """BENCH_DATA, or a folder of our own under the system's temporary one."""
    return Path(os.environ.get("BENCH_DATA") or Path(tempfile.gettempdir()) / f"gantry-bench-data-{os.getuid()}")


def load(name: str, scale: float = 1.0) -> DataSet:
    """The set `name`, made on first use. A set that was made half is made again."""
    plan = _scaled(PLANS[name], scale)
    folder = cache_folder() / f"{plan.name}-{plan.instances}x{plan.frames}-v{_VERSION}"
    index = folder.with_suffix(".json")
    if not index.exists():
        index.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        noise = random.Random(f"gantry {plan.name}").randbytes(plan.rows * plan.columns * 2 + (1 << 20))
        items = [_write_one(folder / f"IM{number:06d}.dcm", plan, number, noise) for number in range(plan.instances)]
        fresh = index.with_suffix(".json.part")
        fresh.write_text(json.dumps([asdict(item) for item in items]), encoding="utf-8")
        fresh.replace(index)
    items = [Item(**entry) for entry in json.loads(index.read_text(encoding="utf-8"))]
    return DataSet(name, folder, uid(plan.name, "study"), tuple(items))


def main() -> None:
    """Make the sets and say where they are."""
    parser = argparse.ArgumentParser(description="Make the benchmark's data sets.")
    parser.add_argument("--scale", type=float, default=1.0, help="1: full size; 0.01: for a try")
    parser.add_argument("--sets", default="ct,small,multiframe,prelude")
    arguments = parser.parse_args()
    for name in arguments.sets.split(","):
        made = load(name, arguments.scale)
        print(f"{name}: {len(made.items)} instances, {made.dataset_bytes / 1e6:.1f} MB in {made.folder}")


if __name__ == "__main__":
    main()
