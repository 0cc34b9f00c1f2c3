"""Transcoding: every packaged file of pydicom read back by pydicom, and DCMTK's tools as a second opinion."""

from __future__ import annotations

import io
import logging
import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary
from pydicom.filereader import read_dataset
from pydicom.pixels import pixel_array
from tests.gantry.dataset.dataset_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, element, item, number, sequence, text
from tests.support.peers import find_dcmtk, missing

from gantry.dataset import DatasetError, read_part10, transcode_decoders, transcode_pieces
from gantry.dataset.transcode import (
    CannotDecode,
    CannotTranscode,
    DamagedDataSet,
    DecodersMissing,
    TooMuch,
    possible,
    transcoded,
    transcoded_view,
)
from gantry.dataset.transcode_vrs import dictionary_vr

PACKAGED = Path(pydicom.data.__file__).parent / "test_files"
PLAIN = {EXPLICIT, IMPLICIT, DEFLATED, BIG}
IN_CI = bool(os.environ.get("GANTRY_CI"))
PIXELS = {0x7FE00010, 0x7FE00001, 0x7FE00002, 0x00280004, 0x00280006}
#: Files that are damaged, with what is wrong.
DAMAGED = {
    "MR_truncated.dcm", "rtplan_truncated.dcm", "meta_missing_tsyntax.dcm", "SC_rgb_jpeg.dcm", "DICOMDIR-nooffset",
}  # fmt: skip
#: JPEG of 12 bits with loss, which pydicom has no decoder for: shape, highest sample and sum of all as DCMTK decodes it.
TWELVE_BITS = dict.fromkeys(["JPEG-lossy.dcm", "JPGExtended.dcm"], ((1024, 256), 264, 3767007))
#: Damaged on purpose.
NOT_DECODED = {"JPEG2000-embedded-sequence-delimiter.dcm"}


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    transcode_decoders.close_decoders()


def files() -> Iterator[tuple[Path, bytes, int, str]]:
    for path in sorted(PACKAGED.rglob("*")):
        if path.is_file() and path.suffix not in {".py", ".pyc", ".csv"}:
            data = path.read_bytes()
            try:
                part = read_part10(memoryview(data)[:65536], total=len(data))
            except DatasetError:
                continue
            yield path, data, part.dataset_offset, part.transfer_syntax_uid


def given_in(data: bytes, source: str, target: str, how: Any = "uncompressed") -> bytes:
    with transcoded_view(memoryview(data), source, [target], how=how) as result:
        assert result is not None
        syntax, views = result
        assert syntax == target
        return b"".join(views)


def read(raw: bytes, syntax: str) -> pydicom.Dataset:
    if syntax == DEFLATED:
        raw = zlib.decompress(raw, -15)
    return read_dataset(io.BytesIO(raw), syntax == IMPLICIT, syntax != BIG)


def differences(before: pydicom.Dataset, after: pydicom.Dataset, *, skip: set[int] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    """What pydicom reads otherwise. UN on one side cannot be compared; private VRs are guesses in implicit VR."""

    def tags(dataset: pydicom.Dataset) -> set[int]:
        return {int(tag) for tag in dataset.keys() if int(tag) & 0xFFFF and int(tag) not in skip}  # noqa: SIM118  its iterator decodes values

    if tags(before) != tags(after):
        yield f"other elements: {[hex(tag) for tag in tags(before) ^ tags(after)]}"
    for tag in tags(before) & tags(after):
        one, other = before[tag], after[tag]
        if one.VR == other.VR == "SQ":
            assert len(one.value) == len(other.value)
            for inner, outer in zip(one.value, other.value, strict=True):
                yield from differences(inner, outer)
        elif "UN" in {one.VR, other.VR} or tag >> 16 & 1:
            continue
        elif one.VR != other.VR and not {one.VR, other.VR} <= {"OB", "OW"}:  # the same bytes in little endian
            yield f"{tag:08X}: {one.VR} became {other.VR}"
        elif tag != 0x7FE00010 and str(one.value) != str(other.value):  # pydicom leaves pixels in their byte order
            yield f"{tag:08X}: another value"


def test_every_packaged_file_without_compression_reads_the_same_in_every_other_syntax() -> None:
    seen = 0
    for path, data, offset, source in files():
        if source not in PLAIN:
            continue
        for target in {EXPLICIT, IMPLICIT, DEFLATED} - {source}:
            if path.name in DAMAGED and IMPLICIT in {target, source}:
                with pytest.raises(DamagedDataSet):
                    given_in(data[offset:], source, target)
                continue
            if path.name in DAMAGED:
                continue
            if path.name.startswith("rtdose_expb"):
                with pytest.raises(DamagedDataSet, match="two ways"):
                    given_in(data[offset:], source, target)
                continue
            result = given_in(data[offset:], source, target)
            before = pydicom.dcmread(path, force=True)
            if path.name != "nested_priv_SQ.dcm":
                assert not list(differences(before, read(result, target))), path.name
            seen += 1
    assert seen > 100


def test_there_and_back_gives_the_same_bytes() -> None:
    """What is lost is known: group lengths, and that a private element in implicit VR has no VR."""
    seen = 0
    for path, data, offset, source in files():
        dataset = data[offset:]
        if source == IMPLICIT and path.name not in DAMAGED:
            there = given_in(dataset, IMPLICIT, EXPLICIT)
            back = given_in(there, EXPLICIT, IMPLICIT)
            lengths = [tag for tag in read(dataset, IMPLICIT) if not tag.tag & 0xFFFF]
            if not lengths:
                assert back == dataset, path.name
                seen += 1
    assert seen > 5


def test_pixels_of_big_endian_are_turned_round() -> None:
    for name in ("MR_small_bigendian.dcm", "MR_small_expb.dcm", "SC_rgb_small_odd_big_endian.dcm"):
        path, data, offset, source = next(one for one in files() if one[0].name == name)
        plain = read(given_in(data[offset:], source, EXPLICIT), EXPLICIT)
        before = pydicom.dcmread(path)
        plain.file_meta = pydicom.dataset.FileMetaDataset()
        plain.file_meta.TransferSyntaxUID = EXPLICIT
        assert np.array_equal(pixel_array(before), pixel_array(plain)), name


def dcmtk(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    program = find_dcmtk(tool)
    if program is None:
        missing(tool, in_ci=IN_CI)
    return subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, timeout=60)


def body(path: Path) -> bytes:
    data = path.read_bytes()
    return data[read_part10(memoryview(data)[:65536], total=len(data)).dataset_offset :]


@pytest.mark.parametrize(
    ("name", "option", "target"),
    [("MR_small_bigendian.dcm", "+te", EXPLICIT), ("MR_small_bigendian.dcm", "+ti", IMPLICIT), ("CT_small.dcm", "+ti", IMPLICIT),
     ("MR_small_implicit.dcm", "+te", EXPLICIT), ("rtplan.dcm", "+te", EXPLICIT), ("image_dfl.dcm", "+te", EXPLICIT)],
)  # fmt: skip
def test_dcmconv_makes_the_same_of_it(tmp_path: Path, name: str, option: str, target: str) -> None:
    path, data, offset, source = next(one for one in files() if one[0].name == name)
    theirs = tmp_path / "theirs.dcm"
    done = dcmtk("dcmconv", option, "-g", path, theirs)
    assert done.returncode == 0, done.stderr
    ours = read(given_in(data[offset:], source, target), target)
    expected = read(body(theirs), target)
    expected_pixels, our_pixels = expected.get("PixelData"), ours.get("PixelData")
    assert our_pixels == expected_pixels
    # DCMTK corrects the VR of padding and of private elements; values are compared where both know them.
    assert not list(differences(expected, ours, skip={0xFFFCFFFC}))


@pytest.mark.parametrize(
    ("name", "tool"),
    [("MR_small_RLE.dcm", "dcmdrle"), ("SC_rgb_rle_32bit_2frame.dcm", "dcmdrle"),
     ("SC_rgb_jpeg_gdcm.dcm", "dcmdjpeg")],
)  # fmt: skip
def test_lossless_pixels_are_those_that_dcmtk_decodes(tmp_path: Path, name: str, tool: str) -> None:
    path, data, offset, source = next(one for one in files() if one[0].name == name)
    theirs = tmp_path / "theirs.dcm"
    done = dcmtk(tool, path, theirs)
    assert done.returncode == 0, done.stderr
    ours, expected = read(given_in(data[offset:], source, EXPLICIT, "any"), EXPLICIT), pydicom.dcmread(theirs)
    ours.file_meta = expected.file_meta
    assert ours.PhotometricInterpretation == expected.PhotometricInterpretation
    assert np.array_equal(pixel_array(ours), pixel_array(expected))


def test_every_packaged_file_with_compression_is_decoded_or_says_why() -> None:
    decoded = 0
    for path, data, offset, source in files():
        if source in PLAIN or possible(source, [EXPLICIT], "any") is None:
            continue
        if path.name in DAMAGED | NOT_DECODED:
            with pytest.raises(CannotDecode if path.name in NOT_DECODED else DamagedDataSet):
                given_in(data[offset:], source, EXPLICIT, "any")
            continue
        before = pydicom.dcmread(path)
        after = read(given_in(data[offset:], source, EXPLICIT, "any"), EXPLICIT)
        assert not list(differences(before, after, skip=PIXELS)), path.name
        if "PixelData" in before:
            after.file_meta = pydicom.dataset.FileMetaDataset()
            after.file_meta.TransferSyntaxUID = EXPLICIT
            if wanted := TWELVE_BITS.get(path.name):
                samples = pixel_array(after)
                assert (samples.shape, int(samples.max()), int(samples.sum())) == wanted
                decoded += 1
                continue
            assert np.array_equal(pixel_array(before), pixel_array(after, raw=after.PhotometricInterpretation == "RGB")), (
                path.name
            )
            decoded += 1
    assert decoded > 20


def test_large_pixels_are_views_of_the_file(tmp_path: Path) -> None:
    pixels = os.urandom(3 << 20)
    file = tmp_path / "large"
    head = b"\1" * 1000
    file.write_bytes(head + text(0x00100010, "PN", "A^B") + element(0x7FE00010, "OW", pixels))
    size = file.stat().st_size - len(head)
    with transcoded(file, len(head), size, EXPLICIT, [IMPLICIT]) as result:
        assert result is not None
        syntax, views = result
        assert (syntax, len(views[-1])) == (IMPLICIT, len(pixels))
        assert isinstance(views[-1].obj, __import__("mmap").mmap)
        assert b"".join(views) == text(0x00100010, "PN", "A^B", IMPLICIT) + element(0x7FE00010, "OW", pixels, IMPLICIT)


def test_large_big_endian_pixels_go_through_a_file_without_a_name(tmp_path: Path) -> None:
    pixels = os.urandom((2 << 20) + 6)
    dataset = number(0x00280100, 16, BIG) + element(0x7FE00010, "OW", pixels, BIG)
    expected = np.frombuffer(pixels, ">u2").astype("<u2").tobytes()
    with transcoded_view(memoryview(dataset), BIG, [EXPLICIT], scratch=str(tmp_path)) as result:
        assert result is not None
        assert b"".join(result[1]).endswith(expected)
        assert not list(tmp_path.iterdir())


def test_what_is_accepted_is_given_verbatim_and_what_is_not_possible_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"anything at all")
    with transcoded(file, 3, 8, "1.2.840.10008.1.2.4.90", [EXPLICIT, "1.2.840.10008.1.2.4.90"]) as result:
        assert result is not None
        assert (result[0], bytes(result[1][0])) == ("1.2.840.10008.1.2.4.90", b"thing at")
    for how in ("never", "uncompressed"):
        assert possible("1.2.840.10008.1.2.4.90", [EXPLICIT], how) is None  # type: ignore[arg-type]
        with transcoded(file, 0, 8, "1.2.840.10008.1.2.4.90", [EXPLICIT], how=how) as nothing:  # type: ignore[arg-type]
            assert nothing is None
    assert possible(EXPLICIT, [IMPLICIT], "never") is None
    assert possible(IMPLICIT, [DEFLATED, EXPLICIT]) == EXPLICIT
    with pytest.raises(DamagedDataSet, match="too short"), transcoded(file, 3, 80, EXPLICIT, [IMPLICIT]):
        pass


def test_open_vrs_follow_the_pixels() -> None:
    """PS3.5 A.2 and 8.1.2; an item may say otherwise than the data set."""
    for signed, bits, vr, pixel_vr in ((0, 16, "US", "OW"), (1, 16, "SS", "OW"), (0, 8, "US", "OB")):
        inner = sequence(0x00409096, item(number(0x00409216, 5, IMPLICIT), IMPLICIT), syntax=IMPLICIT, undefined=False)
        dataset = (
            number(0x00280100, bits, IMPLICIT) + number(0x00280103, signed, IMPLICIT) + number(0x00280106, 7, IMPLICIT)
            + inner + element(0x60003000, "OW", b"\1\2", IMPLICIT) + element(0x7FE00010, "OW", b"\1\2", IMPLICIT)
        )  # fmt: skip
        result = read(given_in(dataset, IMPLICIT, EXPLICIT), EXPLICIT)
        assert (vr, pixel_vr, "OW") == (result[0x00280106].VR, result[0x7FE00010].VR, result[0x60003000].VR)
        assert vr == result[0x00409096].value[0][0x00409216].VR


def test_private_and_unknown_elements_become_un_and_sequences_of_them_stay_sequences() -> None:
    dataset = (
        text(0x00090010, "LO", "MAKER", IMPLICIT) + element(0x00091001, "UN", b"\1\2\3\4", IMPLICIT)
        + sequence(0x00091002, item(text(0x00100010, "PN", "A^B", IMPLICIT), IMPLICIT), syntax=IMPLICIT)
    )  # fmt: skip
    result = read(given_in(dataset, IMPLICIT, EXPLICIT), EXPLICIT)
    raw = given_in(dataset, IMPLICIT, EXPLICIT)
    assert raw.startswith(text(0x00090010, "LO", "MAKER") + element(0x00091001, "UN", b"\1\2\3\4"))
    assert result[0x00091002].VR == "SQ"
    assert result[0x00091002].value[0].PatientName == "A^B"


def test_values_that_are_too_long_for_a_short_length_become_un() -> None:
    """PS3.5 6.2.2, note 2."""
    long = b"1\\" * 40_000
    raw = given_in(element(0x30060050, "DS", long, IMPLICIT), IMPLICIT, EXPLICIT)
    assert raw == element(0x30060050, "UN", long)


def test_un_of_undefined_length_keeps_its_implicit_content() -> None:
    content = item(text(0x00100010, "PN", "A^B", IMPLICIT), IMPLICIT)
    inside = content + element(0xFFFEE0DD, "", b"")
    dataset = text(0x00080060, "CS", "CT") + element(0x00091002, "UN", inside, length=UNDEFINED)
    assert given_in(dataset, EXPLICIT, IMPLICIT) == (
        text(0x00080060, "CS", "CT", IMPLICIT) + element(0x00091002, "UN", inside, IMPLICIT, length=UNDEFINED)
    )
    big = text(0x00080060, "CS", "CT", BIG) + element(0x00091002, "UN", inside, BIG, length=UNDEFINED)
    assert given_in(big, BIG, EXPLICIT) == dataset


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (element(0x00100010, "PN", b"AB", length=400), "longer than"),
        (element(0x00100010, "PN", b"AB")[:5], "inside an element"),
        (text(0x00080060, "CS", "CT") + b"\x10\0\x10\0ZZ\2\0AB", "unknown VR"),
        (
            text(0x00080060, "CS", "CT") + element(0x7FE00010, "OB", item(b"ab", undefined=False), length=UNDEFINED),
            "encapsulated",
        ),
        (text(0x00080060, "CS", "CT") + sequence(0x00081140, element(0x00100010, "PN", b"AB")), "where an item"),
        (text(0x00080060, "CS", "CT") + element(0x00081140, "SQ", item(b"", undefined=False), length=9000), "longer than"),
        (text(0x00080060, "CS", "CT") + element(0xFFFEE00D, "", b""), "delimitation item"),
        (text(0x00080060, "CS", "CT", IMPLICIT), "is not in explicit"),
        (text(0x00080060, "CS", "CT") + b"\0" * 32, "no place"),
    ],
)
def test_what_does_not_read_as_it_should_is_named_and_never_guessed(dataset: bytes, reason: str) -> None:
    with pytest.raises(DamagedDataSet, match=reason):
        given_in(dataset, EXPLICIT, IMPLICIT)


def test_half_a_number_and_a_broken_stream_are_named() -> None:
    with pytest.raises(DamagedDataSet, match="half a number"):
        given_in(element(0x00280010, "US", b"\1\2\3", BIG), BIG, EXPLICIT)
    whole = zlib.compressobj(wbits=-15)
    stream = whole.compress(text(0x00080060, "CS", "CT") * 100) + whole.flush()
    for broken in (stream[:-6], b"\xff" * 40):
        with pytest.raises(DamagedDataSet, match="deflate"):
            given_in(broken, DEFLATED, EXPLICIT)


def test_depth_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = text(0x00080060, "CS", "CT") + (element(0x00081140, "SQ", b"", length=UNDEFINED) + item(b"")[:8]) * 9000
    with pytest.raises(TooMuch, match="nested"):
        given_in(deep, EXPLICIT, IMPLICIT)
    monkeypatch.setattr(transcode_pieces, "MAX_MADE", 10_000)
    with pytest.raises(TooMuch, match="small elements"):
        given_in(text(0x00080060, "CS", "CT") * 2000, EXPLICIT, IMPLICIT)


def test_a_data_set_nested_5000_deep_is_no_trouble() -> None:
    opening = element(0x00081140, "SQ", b"", length=UNDEFINED) + item(b"")[:8]
    closing = element(0xFFFEE00D, "", b"") + element(0xFFFEE0DD, "", b"")
    deep = text(0x00080060, "CS", "CT") + opening * 5000 + closing * 5000
    there = given_in(deep, EXPLICIT, IMPLICIT)
    assert given_in(there, IMPLICIT, EXPLICIT) == deep


def test_without_the_extra_the_reason_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python path on which numpy cannot be imported stands for an installation without the extra."""
    transcode_decoders.close_decoders()
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    _, data, offset, source = next(one for one in files() if one[0].name == "MR_small_RLE.dcm")
    with pytest.raises(DecodersMissing, match="numpy") as caught:
        given_in(data[offset:], source, EXPLICIT, "any")
    assert "gantry-dicom[pixels]" in caught.value.remedy
    transcode_decoders.close_decoders()


def test_lies_about_the_size_of_pixels_are_refused() -> None:
    _, data, offset, source = next(one for one in files() if one[0].name == "MR_small_RLE.dcm")
    lying = data[offset:].replace(number(0x00280010, 64), number(0x00280010, 65))
    with pytest.raises(CannotDecode):
        given_in(lying, source, EXPLICIT, "any")
    huge = data[offset:].replace(number(0x00280010, 64), number(0x00280010, 65535)).replace(
        number(0x00280011, 64), number(0x00280011, 65535)
    )  # fmt: skip
    with pytest.raises(TooMuch):
        given_in(huge, source, EXPLICIT, "any")
    # The process that decodes is there again for the next one.
    assert len(given_in(data[offset:], source, EXPLICIT, "any")) > 64 * 64 * 2


def test_the_dictionary_is_that_of_the_standard() -> None:
    """Against pydicom's; what came into the standard after our table is UN."""
    open_vrs = {"US or SS": "xs", "OB or OW": "ox", "US or OW": "lx", "US or SS or OW": "lx"}
    known = {tag: open_vrs.get(entry[0], entry[0]) for tag, entry in DicomDictionary.items() if tag >> 16 not in {0, 0xFFFE}}
    other = {f"{tag:08X}": dictionary_vr(tag) for tag, vr in known.items() if dictionary_vr(tag) != vr}
    assert set(other.values()) <= {"UN"}
    assert len(other) < 20
    assert dictionary_vr(0x60123000) == "ox"
    assert dictionary_vr(0x00090010) == "LO"


_TEXTS = st.binary(max_size=20).map(lambda raw: raw + b" " * (len(raw) % 2))
_ELEMENTS = st.one_of(
    st.tuples(st.sampled_from([(0x00080060, "CS"), (0x00100010, "PN"), (0x0020000D, "UI"), (0x00090010, "LO")]), _TEXTS),
    st.tuples(st.just((0x00280010, "US")), st.integers(0, 65535).map(lambda value: struct.pack("<H", value))),
    st.tuples(st.just((0x00720082, "SV")), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just((0x00091001, "UN")), _TEXTS),
    st.tuples(st.just((0x7FE00010, "OW")), st.binary(max_size=4000).map(lambda raw: raw + b"\0" * (len(raw) % 2))),
)


@st.composite
def _datasets(draw: st.DrawFn, depth: int = 3) -> tuple[bytes, bytes]:
    """The same data set in explicit and in implicit VR."""
    explicit, implicit = b"", b""
    for (tag, vr), value in draw(st.lists(_ELEMENTS, max_size=4)):
        explicit += element(tag, vr, value)
        implicit += element(tag, vr, value, IMPLICIT)
    if depth and draw(st.booleans()):
        defined = draw(st.booleans())
        inner = draw(st.lists(_datasets(depth - 1), max_size=3))
        items_defined = draw(st.booleans())
        items = [[item(one[which], undefined=not items_defined) for one in inner] for which in (0, 1)]
        explicit += sequence(0x00081140, *items[0], undefined=not defined)
        implicit += sequence(0x00081140, *items[1], syntax=IMPLICIT, undefined=not defined)
    return explicit, implicit


@given(_datasets())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_data_set_there_and_back(datasets: tuple[bytes, bytes]) -> None:
    head_explicit, head_implicit = number(0x00280100, 16), number(0x00280100, 16, IMPLICIT)
    explicit, implicit = head_explicit + datasets[0], head_implicit + datasets[1]
    assert given_in(explicit, EXPLICIT, IMPLICIT) == implicit
    assert given_in(implicit, IMPLICIT, EXPLICIT) == explicit
    assert zlib.decompress(given_in(implicit, IMPLICIT, DEFLATED), -15) == explicit


@given(st.binary(max_size=600), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.5"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_result_or_a_named_error(data: bytes, source: str) -> None:
    try:
        with transcoded_view(memoryview(data), source, [IMPLICIT if source != IMPLICIT else EXPLICIT], how="any") as result:
            assert result is not None
            assert sum(map(len, result[1])) < 10_000
    except CannotTranscode:
        return


def test_nothing_of_the_extra_is_imported_by_us() -> None:
    code = "import sys, gantry.dataset.transcode; print(sorted({'pydicom', 'numpy', 'gdcm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_table_is_what_the_generator_writes() -> None:
    from tools import generate_vr_table

    if not generate_vr_table.SOURCE.exists():
        pytest.skip("the tables of the standard are not on this machine")
    assert generate_vr_table.rendered() == generate_vr_table.TARGET.read_text()
