from __future__ import annotations

import time
import tracemalloc

import pytest
from tests.gantry.dataset.dataset_bytes import (
    BIG,
    DEFLATED,
    EXPECTED,
    EXPLICIT,
    IMPLICIT,
    SERIES,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY,
    UNDEFINED,
    deflated,
    element,
    image,
    item,
    number,
    sequence,
    text,
)

from gantry.dataset import INDEXED_KEYWORDS, scan, scan_identity

JPEG = "1.2.840.10008.1.2.4.50"
PLAIN = (IMPLICIT, EXPLICIT, BIG)


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("view", [bytes, memoryview])
def test_every_encoding_gives_the_same_text(syntax: str, view: type) -> None:
    header = scan(view(image(syntax)), syntax, whole=True)
    assert header.values == EXPECTED
    assert header.warnings == ()
    assert header.complete


@pytest.mark.parametrize("bits", [-15, 15], ids=["raw deflate", "with zlib header"])
def test_deflated(bits: int) -> None:
    stream = deflated(image(), bits=bits)
    assert scan(stream, DEFLATED, whole=True).values == EXPECTED
    assert scan_identity(stream, DEFLATED) == (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES, True)


def test_a_deflate_stream_that_is_none_is_read_as_it_is() -> None:
    header = scan(image(), DEFLATED, whole=True)
    assert header.values == EXPECTED
    assert "not deflated" in header.warnings[0]


def test_a_cut_or_damaged_deflate_stream_gives_what_was_there() -> None:
    stream = deflated(image(pixels=bytes(range(256)) * 4000))
    cut = scan(stream[: len(stream) // 2], DEFLATED, whole=True)
    assert cut.values == EXPECTED
    assert cut.complete
    beginning = scan(deflated(image())[:60], DEFLATED, whole=True)
    assert not beginning.complete
    assert beginning.values.items() < EXPECTED.items()
    data = bytearray(deflated(image(), bits=-15))
    data[90] ^= 0xFF
    assert isinstance(scan(bytes(data), DEFLATED, whole=True).values, dict)


def test_a_deflate_bomb_takes_bounded_memory() -> None:
    bomb = deflated(text(0x00080005, "CS", "ISO_IR 100") + element(0x00091010, "OB", bytes(60 << 20)) + image()[20:])
    tracemalloc.start()
    started = time.process_time()
    header = scan(bomb, DEFLATED, whole=True)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not header.complete
    assert header.values == {"SpecificCharacterSet": "ISO_IR 100"}
    assert any("inflated" in warning for warning in header.warnings)
    assert peak < 20 << 20
    assert seconds < 1


def test_encapsulated_pixels_are_not_touched() -> None:
    data = image(JPEG, pixels=b"")[:-12] + element(0x7FE00010, "OB", b"\xfe\xff\x00\xe0cut", length=UNDEFINED)
    assert scan(data, JPEG, whole=True) == scan(image(), EXPLICIT, whole=True)


@pytest.mark.parametrize(("said", "really"), [(a, b) for a in PLAIN for b in PLAIN if a != b])
def test_an_encoding_other_than_the_declared_one_is_seen(said: str, really: str) -> None:
    header = scan(image(really), said, whole=True)
    assert header.values == EXPECTED
    assert "the transfer syntax says" in header.warnings[0]
    assert scan_identity(image(really), said)[:4] == (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES)


@pytest.mark.parametrize("syntax", ["", "1.3.6.1.4.1.99999.1.2.3", "v.2.840\x00 R"])
def test_unknown_syntaxes_are_taken_as_explicit(syntax: str) -> None:
    assert scan(image(), syntax, whole=True).values == EXPECTED
    assert scan(image(IMPLICIT), syntax, whole=True).values == EXPECTED


@pytest.mark.parametrize("syntax", PLAIN)
@pytest.mark.parametrize("undefined", [True, False])
def test_what_is_inside_sequences_does_not_count(syntax: str, undefined: bool) -> None:
    inner = text(0x0020000D, "UI", "9.9.9", syntax) + text(0x00100010, "PN", "Wrong^Person", syntax)
    nested = sequence(0x00081115, item(inner, syntax, undefined=undefined), syntax=syntax, undefined=undefined)
    outer = sequence(
        0x00081110,
        item(inner + nested, syntax, undefined=undefined),
        item(b"", syntax),
        syntax=syntax,
        undefined=undefined,
    )
    header = scan(image(syntax, between=outer), syntax, whole=True)
    assert header.values == EXPECTED
    assert header.warnings == ()


@pytest.mark.parametrize("inside", [IMPLICIT, EXPLICIT])
def test_un_of_undefined_length(inside: str) -> None:
    inner = item(text(0x00100010, "PN", "Wrong^Person", inside), inside)
    header = scan(image(between=sequence(0x00091002, inner, vr="UN")), EXPLICIT, whole=True)
    assert header.values == EXPECTED


def test_lengths_inside_un_that_look_like_a_vr() -> None:
    inner = text(0x00080060, "CS", "CT", IMPLICIT)
    inner += element(0x00100010, "PN", b"W" * int.from_bytes(b"LO", "little"), IMPLICIT)
    header = scan(image(between=sequence(0x00091002, item(inner, IMPLICIT), vr="UN")), EXPLICIT, whole=True)
    assert header.values == EXPECTED
    assert header.warnings == ()


def test_un_of_undefined_length_in_big_endian_holds_little_endian() -> None:
    inner = item(text(0x00100010, "PN", "Wrong^Person", IMPLICIT), IMPLICIT) + element(0xFFFEE0DD, "", b"", IMPLICIT)
    between = element(0x00091002, "UN", inner, BIG, length=UNDEFINED)
    assert scan(image(BIG, between=between), BIG, whole=True).values == EXPECTED


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_thousands_of_nested_sequences(syntax: str) -> None:
    depth = 5000
    opening = element(0x00081110, "SQ", b"", syntax, length=UNDEFINED) + element(0xFFFEE000, "", b"", syntax, length=UNDEFINED)
    closing = element(0xFFFEE00D, "", b"", syntax) + element(0xFFFEE0DD, "", b"", syntax)
    started = time.process_time()
    header = scan(image(syntax, between=opening * depth + closing * depth), syntax, whole=True)
    assert time.process_time() - started < 1
    assert header.values == EXPECTED
    assert header.warnings == ("sequences are nested more than 100 deep",)
    deeper = scan(image(syntax, between=opening * 20_000), syntax, whole=True)
    assert not deeper.complete
    assert any("8192" in warning for warning in deeper.warnings)


def test_a_sequence_without_end_and_stray_delimiters() -> None:
    unclosed = element(0x00081110, "SQ", item(text(0x00080100, "SH", "x")), length=UNDEFINED)
    header = scan(image(between=unclosed), EXPLICIT, whole=True)
    assert header.values == EXPECTED
    assert header.warnings == ("a sequence has no delimitation item",)
    open_item = element(0x00081110, "SQ", b"", length=UNDEFINED) + element(0xFFFEE000, "", b"", length=UNDEFINED)
    lost = scan(image(between=open_item), EXPLICIT, whole=True)
    assert not lost.complete
    assert "StudyInstanceUID" not in lost.values
    for syntax in PLAIN:
        stray = element(0xFFFEE00D, "", b"", syntax) + element(0xFFFEE0DD, "", b"", syntax) + item(b"", syntax)
        header = scan(image(syntax, between=stray), syntax, whole=True)
        assert header.values == EXPECTED
        assert header.warnings == ("a delimitation item lies outside of any sequence",)


def test_many_damaged_sequences_end_the_walk() -> None:
    unclosed = element(0x00081110, "SQ", b"", length=UNDEFINED) + text(0x00081030, "LO", "x")
    few = scan(image(between=unclosed * 50), EXPLICIT, whole=True)
    assert few.values == EXPECTED | {"StudyDescription": "x"}
    many = scan(image(between=unclosed * 200), EXPLICIT, whole=True)
    assert not many.complete
    assert any("more than 100 sequences" in warning for warning in many.warnings)


def test_too_many_elements() -> None:
    private = b"".join(element(0x00090000 | low, "LO", b"") for low in range(0x1000, 0x1064))
    started = time.process_time()
    header = scan(image(between=private * 550), EXPLICIT, whole=True)
    assert time.process_time() - started < 1
    assert not header.complete
    assert any("elements" in warning for warning in header.warnings)
    inside = sequence(0x00081110, item(private * 550))
    assert not scan(image(between=inside), EXPLICIT, whole=True).complete


@pytest.mark.parametrize("syntax", PLAIN)
def test_a_value_beyond_the_end(syntax: str) -> None:
    data = image(syntax, between=element(0x00081030, "UT", b"short", syntax, length=1 << 30))
    whole = scan(data, syntax, whole=True)
    assert not whole.complete
    assert whole.warnings
    assert "PatientName" not in whole.values
    assert scan(data, syntax, whole=False).warnings == ()


@pytest.mark.parametrize("syntax", PLAIN)
def test_every_beginning_is_told_from_the_whole(syntax: str) -> None:
    data = image(syntax)
    enough = len(data) - len(element(0x7FE00010, "OW", bytes(512), syntax))
    for size in range(len(data)):
        header = scan(data[:size], syntax, whole=False)
        assert header.complete == (size >= enough)
        assert header.warnings == ()
        assert header.values.items() <= EXPECTED.items()
        identity = scan_identity(data[:size], syntax)
        assert identity.complete == (SERIES in (identity.series_instance_uid or ""))
        assert identity.study_instance_uid in {None, STUDY}


def test_without_pixels_the_end_of_the_data_set_completes() -> None:
    report = image()[: -len(element(0x7FE00010, "OW", bytes(512))) - 30]
    assert not scan(report, EXPLICIT, whole=False).complete
    assert scan(report, EXPLICIT, whole=True).complete
    assert scan(b"", EXPLICIT, whole=True).complete
    assert scan_identity(b"", EXPLICIT, whole=True) == (None, None, None, None, True)
    assert scan_identity(b"", EXPLICIT) == (None, None, None, None, False)


def test_order_and_duplicates_the_first_one_counts() -> None:
    late = text(0x00100020, "LO", "SECOND") + text(0x00080070, "LO", "Maker")
    data = image(pixels=b"")[:-12].replace(text(0x0020000E, "UI", SERIES), late + text(0x0020000E, "UI", SERIES))
    header = scan(data, EXPLICIT, whole=True)
    assert header.values == EXPECTED | {"Manufacturer": "Maker"}
    assert len(header.warnings) == 2


@pytest.mark.parametrize("syntax", PLAIN)
def test_uids_out_of_order_are_found(syntax: str) -> None:
    study = text(0x0020000D, "UI", STUDY, syntax)
    data = image(syntax).replace(study, b"").replace(
        element(0x7FE00010, "OW", bytes(512), syntax),
        element(0x00400280, "UT", b"late", syntax) + study + element(0x7FE00010, "OW", bytes(512), syntax),
    )  # fmt: skip
    assert scan(data, syntax, whole=True).values == EXPECTED
    assert scan_identity(data, syntax).study_instance_uid == STUDY


@pytest.mark.parametrize("syntax", PLAIN)
def test_the_walk_ends_at_the_pixel_data_when_a_uid_is_missing(syntax: str) -> None:
    data = image(syntax).replace(text(0x0020000D, "UI", STUDY, syntax), b"")
    header = scan(data + text(0x0020000D, "UI", "6.6.6", syntax), syntax, whole=False)
    assert header.complete
    assert "StudyInstanceUID" not in header.values
    assert scan_identity(data, syntax) == (SOP_CLASS, SOP_INSTANCE, None, SERIES, True)


def test_unknown_vrs() -> None:
    short = element(0x00081030, "ZZ", b"abcd")
    long = b"\x08\x00\x30\x10ZZ\0\0" + (6).to_bytes(4, "little") + b"abcdef"
    without = element(0x00081030, "", b"abcdef", IMPLICIT)
    for odd, value in ((short, "abcd"), (long, "abcdef"), (without, "abcdef")):
        header = scan(image(between=odd), EXPLICIT, whole=True)
        assert header.values == EXPECTED | {"StudyDescription": value}
        assert header.warnings == ("(0008,1030) has an unknown VR",)
    hopeless = scan(image(between=b"\x08\x00\x30\x10\x01\x02\xff\xff"), EXPLICIT, whole=True)
    assert not hopeless.complete
    assert "PatientID" not in hopeless.values


@pytest.mark.parametrize("syntax", PLAIN)
def test_group_lengths_and_trailing_bytes_do_no_harm(syntax: str) -> None:
    length = element(0x00080000, "UL", b"\1\2\3\4", syntax)
    padding = element(0xFFFCFFFC, "OB", bytes(64), syntax)
    assert scan(image(syntax, before=length) + padding + b"GARBAGE", syntax, whole=True).values == EXPECTED
    report = image(syntax)[: -len(element(0x7FE00010, "OW", bytes(512), syntax))]
    assert scan(report + padding, syntax, whole=True).values == EXPECTED


def test_padding_odd_lengths_and_nul() -> None:
    data = image(
        between=element(0x00080070, "LO", b"odd") + element(0x00080080, "LO", b"A\0B \0\0"),
        patient_id=b"  4711 \0",
        study=STUDY + "\0\0 \0",
    )
    header = scan(data, EXPLICIT, whole=True)
    assert header.values == EXPECTED | {"Manufacturer": "odd", "InstitutionName": "AB", "PatientID": "  4711"}
    assert set(header.warnings) == {
        "(0008,0070) has an odd length",
        "a text holds NUL characters; they were left out",
    }
    assert scan_identity(data, EXPLICIT).study_instance_uid == STUDY


def test_long_values_are_kept_up_to_the_limit() -> None:
    longest = b"N" * 65_534
    assert scan(image(name=longest), EXPLICIT, whole=True).values["PatientName"] == longest.decode()
    beyond = scan(image(IMPLICIT, name=b"N" * 200_000), IMPLICIT, whole=True)
    assert beyond.values == EXPECTED | {"PatientName": "N" * 65_536}
    assert "(0010,0010)" in beyond.warnings[0]
    assert "NNN" not in "".join(beyond.warnings)


@pytest.mark.parametrize("syntax", PLAIN)
def test_numbers_with_another_vr(syntax: str) -> None:
    order = "big" if syntax == BIG else "little"
    data = image(syntax).replace(number(0x00280010, 16, syntax), element(0x00280010, "UL", (70_000).to_bytes(4, order), syntax))
    rows = scan(data, syntax, whole=True).values["Rows"]
    assert rows == (["4464", "1"] if syntax == IMPLICIT else "70000")
    if syntax == EXPLICIT:
        data = image().replace(number(0x00280010, 16), element(0x00280010, "IS", b"0512"))
        assert scan(data, EXPLICIT, whole=True).values["Rows"] == "0512"
    empty = image(syntax).replace(number(0x00280010, 16, syntax), element(0x00280010, "US", b"", syntax))
    assert scan(empty, syntax, whole=True).values["Rows"] == ""


def test_warnings_tell_nothing_about_the_patient() -> None:
    data = image(charset="ISO_IR 192", name=b"Secret\xff^Name\x1b\0", patient_id=b"SECRET\\\0ID\xff")
    header = scan(data, EXPLICIT, whole=True)
    assert header.warnings
    assert not any("secret" in warning.lower() for warning in header.warnings)


def test_the_table_of_indexed_keywords_is_up_to_date() -> None:
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    for keyword, indexed in INDEXED_KEYWORDS.items():
        assert indexed.tag == tag_for_keyword(keyword)
        assert indexed.vr == dictionary_VR(indexed.tag)
    from tools import generate_tags

    assert generate_tags.main(["--check"]) == 0
