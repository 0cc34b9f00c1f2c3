"""Every file of pydicom's package, and of the shared test data where it is there, against pydicom."""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from pydicom.multival import MultiValue
from pydicom.valuerep import IS

from gantry.dataset import INDEXED_KEYWORDS, DatasetError, Header, Part10, read_part10, scan, scan_identity

PACKAGED = Path(pydicom.data.__file__).parent
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
HEAD = 65_536
KEYWORDS = {keyword: indexed.tag for keyword, indexed in INDEXED_KEYWORDS.items() if indexed.tag >> 16 != 2}

#: Where we differ from pydicom on purpose: the file's name, the keywords (none: all), and why.
EXCEPTIONS: dict[str, tuple[set[str], str]] = {
    "iso2022-cn-58.dcm": ({"PatientName"}, "pydicom leaves the escape sequences of ISO 2022 IR 58 in"),
    "chrGB2312.dcm": ({"PatientName"}, "the same"),
    "iso_ir_203.dcm": ({"PatientName", "StudyDescription"}, "pydicom reads ISO_IR 203 as ISO 8859-1"),
    "chrX1.dcm": ({"PatientName"}, "pydicom drops the empty last component group, we keep names as sent"),
    "chrX2.dcm": ({"PatientName"}, "the same"),
    "out-of-order-and-duplicate.dcm": (
        {"PatientID"},
        "of two values the first counts, with pydicom the last",
    ),
    "unknown-vr.dcm": ({"InstitutionName"}, "pydicom cannot read the VR ZZ"),
    "fuzzed-header.dcm": (set(), "pydicom keeps a value that runs past the end of the file"),
    "length-beyond-eof.dcm": (set(), "the same"),
    "truncated-in-header.dcm": ({"PatientName"}, "the same"),
    "stray-delimiters.dcm": (set(), "pydicom ends at a stray delimiter, we go on"),
    "nested-5000.dcm": (set(), "pydicom: RecursionError"),
    "unterminated-sequence.dcm": (set(), "pydicom: OSError"),
}
#: Files pydicom makes something of with force=True, and we refuse.
REFUSED = {".DS_Store", "crayons.icc", "truncated-in-meta.dcm"}


def files(root: Path) -> list[Path]:
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in found if path.suffix not in {".py", ".pyc", ".csv"})


def ours(path: Path) -> tuple[Part10, Header]:
    data = memoryview(path.read_bytes())
    part10 = read_part10(data[:HEAD], total=len(data))
    dataset = data[part10.dataset_offset :]
    header = scan(dataset, part10.transfer_syntax_uid, whole=True)
    identity = scan_identity(dataset, part10.transfer_syntax_uid)
    for keyword, uid in zip(
        ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"), identity[:4], strict=True
    ):
        assert uid == header.values.get(keyword)
    return part10, header


def plain(value: Any) -> str | list[str]:
    if isinstance(value, MultiValue):
        return [str(plain(one)) for one in value]
    if value is None:
        return ""
    text = value.original_string if isinstance(value, IS) and hasattr(value, "original_string") else str(value)
    return text.strip(" \0")


def theirs(dataset: pydicom.Dataset) -> dict[str, str | list[str]]:
    values = {}
    for keyword, tag in KEYWORDS.items():
        if tag in dataset:
            try:
                values[keyword] = plain(dataset[tag].value)
            except NotImplementedError:
                continue
    return values


def trimmed(values: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {
        key: [one.strip(" ") for one in value] if isinstance(value, list) else value.strip(" ") for key, value in values.items()
    }


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def differences(path: Path) -> list[str]:
    """What differs from pydicom, but for the table above."""
    keywords, why = EXCEPTIONS.get(path.name, (set(), ""))
    try:
        dataset = pydicom.dcmread(
            path,
            force=True,
            stop_before_pixels=True,
            specific_tags=[pydicom.tag.Tag(tag) for tag in KEYWORDS.values()],
        )
    except Exception:  # pydicom raises many kinds
        dataset = pydicom.Dataset()
        if not why:
            return [f"{path}: pydicom cannot read it"] if _readable(path) else []
    try:
        _, header = ours(path)
    except DatasetError as error:
        nothing = not theirs(dataset) and not getattr(dataset, "file_meta", None)
        return [] if nothing or path.name in REFUSED else [f"{path}: refused, {error.reason}"]
    if why and not keywords:
        return []
    expected, found = theirs(dataset), trimmed(header.values)
    return [
        f"{path} {keyword}: {expected.get(keyword)!r} {found.get(keyword)!r}"
        for keyword in sorted((expected.keys() | found.keys()) - keywords)
        if expected.get(keyword) != found.get(keyword)
    ]


def _readable(path: Path) -> bool:
    try:
        return bool(ours(path)[1].values)
    except DatasetError:
        return False


def test_packaged_files() -> None:
    paths = files(PACKAGED)
    assert len(paths) > 150
    assert [line for path in paths for line in differences(path)] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data is not here")
def test_shared_files() -> None:
    paths = files(SHARED)
    assert len(paths) > 600
    assert [line for path in paths for line in differences(path)] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data is not here")
def test_names_of_the_shared_charset_files_are_those_of_the_manifest() -> None:
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8", newline="") as rows:
        names = {
            row["file"]: row["notes"].split("PatientName '")[1].split("'")[0]
            for row in csv.DictReader(rows)
            if row["file"].startswith("synthetic/charset/") and "PatientName '" in row["notes"]
        }
    assert len(names) == 18
    assert {file: ours(SHARED / file)[1].values["PatientName"] for file in names} == names
    assert all(ours(SHARED / file)[1].warnings == () for file in names)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test data is not here")
@pytest.mark.parametrize("folder", ["malformed", "notdicom", "quirk"])
def test_hostile_files_take_bounded_time_and_memory(folder: str) -> None:
    for path in files(SHARED / "synthetic" / folder):
        size = path.stat().st_size
        started = time.process_time()
        with contextlib.suppress(DatasetError):
            ours(path)
        seconds = time.process_time() - started
        tracemalloc.start()  # apart, as it makes all slower
        with contextlib.suppress(DatasetError):
            ours(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 1, path
        assert peak < 16 * 2**20 + size, path


def test_a_file_without_pixels_and_a_report_are_complete() -> None:
    for name in ("test-SR.dcm", "rtplan.dcm", "CT_small.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm"):
        _, header = ours(PACKAGED / "test_files" / name)
        assert header.complete
        assert header.warnings == ()
