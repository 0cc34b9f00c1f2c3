"""Identifiers: against pydicom, in every transfer syntax, and with bytes from strangers."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as PydicomSequence

from dimse.dictionary import by_keyword, by_tag, keyword_of, tag_of, vr_of
from dimse.identifier import Identifier, IdentifierError
from dimse.operations import MAX_IDENTIFIER
from dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)  # fmt: skip
SYNTAXES = (IMPLICIT, EXPLICIT, BIG, DEFLATED)


def sample() -> Identifier:
    step = Identifier.of(Modality="MR", ScheduledProcedureStepStartDate="20240101-", ScheduledStationAETitle=["A", "B"])
    code = Identifier.of(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning="Kopf")
    return Identifier.of(
        SpecificCharacterSet="ISO_IR 100", QueryRetrieveLevel="STUDY", PatientName="MÜLLER^Jörg", PatientID=None,
        StudyInstanceUID=["1.2.3", "1.2.4.5"], ModalitiesInStudy=["CT", "MR"], NumberOfStudyRelatedSeries=3,
        Rows=["512"], FailureReason="272", PatientComments="a\\b is one text", PatientWeight="71.5",
        ScheduledProcedureStepSequence=[step.replaced(ScheduledProtocolCodeSequence=[code, Identifier()])],
        ProcedureCodeSequence=[], FailureAttributes=["00100010", "7FE00010"],
    )  # fmt: skip


def test_dictionary_is_that_of_the_standard() -> None:
    for tag, attribute in by_tag().items():
        assert (attribute.keyword, attribute.vr) == (keyword_for_tag(tag), dictionary_VR(tag))
    assert len(by_tag()) == len(by_keyword()) > 250
    assert (tag_of("PatientID"), tag_of("00100020"), tag_of(0x00100020)) == (0x00100020,) * 3
    assert (keyword_of(0x00091001), vr_of(0x00091001), vr_of(0x00090010)) == ("00091001", "UN", "LO")
    for wrong in ("NoSuchAttribute", "zzzzzzzz", "0010002", 1 << 32, -1):
        with pytest.raises(KeyError):
            tag_of(wrong)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_round_trip(syntax: str) -> None:
    read = Identifier.parse(sample().encode(syntax), syntax)
    assert read == sample()
    assert list(read)[:2] == ["SpecificCharacterSet", "QueryRetrieveLevel"]
    assert read["PatientName"] == "MÜLLER^Jörg"
    assert read["PatientComments"] == "a\\b is one text"
    assert read.texts("StudyInstanceUID") == ["1.2.3", "1.2.4.5"]
    assert (read.text("Rows"), read.text("FailureReason"), read.text("PatientID")) == ("512", "272", "")
    (step,) = read.items_of("ScheduledProcedureStepSequence")
    assert step.items_of("ScheduledProtocolCodeSequence")[0].text("CodeMeaning") == "Kopf"
    assert read["ProcedureCodeSequence"] == []
    assert "MÜLLER" not in repr(read)


@pytest.mark.parametrize(("syntax", "implicit", "little"), [(IMPLICIT, True, True), (EXPLICIT, False, True), (BIG, False, False)])
def test_pydicom_reads_and_writes_the_same(syntax: str, implicit: bool, little: bool) -> None:
    theirs = read_dataset(io.BytesIO(sample().encode(syntax)), implicit, little)
    assert theirs.PatientName == "MÜLLER^Jörg"
    assert theirs.StudyInstanceUID == ["1.2.3", "1.2.4.5"]
    assert theirs.Rows == 512
    assert [int(tag) for tag in theirs.FailureAttributes] == [0x00100010, 0x7FE00010]
    assert theirs.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence[0].CodeMeaning == "Kopf"
    for undefined in (False, True):
        for element in theirs.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = undefined
                for item in element.value:
                    item.is_undefined_length_sequence_item = undefined
        assert Identifier.parse(_written(theirs, implicit, little), syntax) == sample()


def _written(dataset: Dataset, implicit: bool, little: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def test_unknown_attributes_keep_their_bytes() -> None:
    private = struct.pack("<HHI", 0x0009, 0x0010, 4) + b"ACME" + struct.pack("<HHI", 0x0009, 0x1001, 3) + b"\0\xff\\"
    read = Identifier.parse(private, IMPLICIT)
    assert (read["00090010"], read["00091001"], read.vr(0x00091001)) == ("ACME", b"\0\xff\\", "UN")
    assert read.text("00091001") == ""
    again = Identifier.parse(read.encode(BIG), BIG)
    assert again["00091001"] == b"\0\xff\\\0"
    future = struct.pack("<HH2sHI", 0x0009, 0x1002, b"ZZ", 0, 2) + b"ab"
    assert Identifier.parse(future, EXPLICIT)[0x00091002] == b"ab"


def test_known_attribute_sent_as_un() -> None:
    inner = struct.pack("<HHI", 0x0008, 0x0060, 2) + b"MR"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    step = struct.pack(">HH2sHI", 0x0040, 0x0100, b"UN", 0, len(item)) + item
    name = struct.pack(">HH2sHI", 0x0010, 0x0010, b"UN", 0, 4) + b"DOE "
    read = Identifier.parse(name + step, BIG)
    assert read["PatientName"] == "DOE"
    assert read.items_of("ScheduledProcedureStepSequence")[0].text("Modality") == "MR"
    undefined = struct.pack(">HH2sHI", 0x0040, 0x0100, b"UN", 0, 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert Identifier.parse(undefined, BIG)["ScheduledProcedureStepSequence"] == [Identifier.of(Modality="MR")]


def test_group_lengths_padding_and_repeats_are_left_out() -> None:
    data = (
        struct.pack("<HHII", 0x0008, 0, 4, 10) + struct.pack("<HHI", 0x0010, 0x0020, 2) + b"a " + struct.pack("<HHI", 0x0010, 0x0020, 2)
        + b"b " + struct.pack("<HHI", 0xFFFC, 0xFFFC, 4) + b"\0" * 4
    )  # fmt: skip
    assert Identifier.parse(data, IMPLICIT) == Identifier.of(PatientID="a")


@pytest.mark.parametrize(
    ("charset", "text", "kept"),
    [
        ("ISO_IR 100", "Jörg", "ISO_IR 100"),
        ("ISO_IR 203", "Œuvre €", "ISO_IR 203"),
        ("ISO_IR 144", "Люк", "ISO_IR 144"),
        ("ISO_IR 166", "สมชาย", "ISO_IR 166"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ISO_IR 13"),
        ("ISO_IR 192", "山田^太郎", "ISO_IR 192"),
        ("GB18030", "王^小东", "GB18030"),
        ("GBK", "王^小东", "GBK"),
        ("ISO_IR 13", "山田", "ISO_IR 192"),
        ("ISO_IR 100", "Люк", "ISO_IR 192"),
        (None, "Jörg", "ISO_IR 192"),
        (None, "Joerg", ""),
    ],
)
def test_character_sets(charset: str | None, text: str, kept: str) -> None:
    asked = Identifier.of(PatientName=text, ReferencedStudySequence=[Identifier.of(StudyDescription=text)])
    if charset:
        asked = asked.replaced(SpecificCharacterSet=charset)
    read = Identifier.parse(asked.encode(IMPLICIT), IMPLICIT)
    assert (read.text("SpecificCharacterSet"), read["PatientName"]) == (kept, text)
    assert read.items_of("ReferencedStudySequence")[0]["StudyDescription"] == text


def test_item_with_its_own_character_set() -> None:
    item = Identifier.of(SpecificCharacterSet="ISO_IR 144", StudyDescription="Люк")
    asked = Identifier.of(SpecificCharacterSet="ISO_IR 100", PatientName="Jörg", ReferencedStudySequence=[item])
    assert Identifier.parse(asked.encode(EXPLICIT), EXPLICIT) == asked
    forced = Identifier.parse(asked.replaced(PatientName="山田").encode(EXPLICIT), EXPLICIT)
    assert forced.items_of("ReferencedStudySequence")[0]["StudyDescription"] == "Люк"


def test_functions_of_the_caller_decode_and_encode() -> None:
    seen: list[tuple[bytes, bytes, bool]] = []

    def decode(raw: bytes, charset: bytes, person_name: bool) -> str:
        seen.append((raw, charset, person_name))
        return "read"

    def encode(text: str, charset: bytes, person_name: bool) -> bytes:
        return b"\x1b$B;3\x1b(B" if person_name else text.encode()

    data = Identifier.of(SpecificCharacterSet="ISO 2022 IR 87", PatientName="山", StudyDescription="x").encode(
        IMPLICIT, encode=encode
    )
    assert b"\x1b$B;3\x1b(B" in data
    assert Identifier.parse(data, IMPLICIT, decode=decode)["PatientName"] == "read"
    assert seen == [(b"\x1b$B;3\x1b(B", b"ISO 2022 IR 87", True)]


def test_list_longer_than_its_representation_can_say() -> None:
    uids = [f"1.2.3.4.5.6.7.8.9.{number}" for number in range(8000)]
    asked = Identifier.of(FailedSOPInstanceUIDList=uids)
    for syntax in SYNTAXES:
        assert Identifier.parse(asked.encode(syntax), syntax).texts("FailedSOPInstanceUIDList") == uids


@pytest.mark.parametrize(
    "values",
    [{"Rows": "x"}, {"Rows": "70000"}, {"FailureAttributes": "patient"}, {"PatientName": "\ud800"}],
)
def test_what_cannot_be_written(values: dict[str, str]) -> None:
    with pytest.raises(IdentifierError) as caught:
        Identifier(values).encode(EXPLICIT)
    assert "\ud800" not in str(caught.value)


def test_what_cannot_be_built() -> None:
    with pytest.raises(KeyError):
        Identifier.of(PatientNname="x")
    for values in ({"PatientName": b"x"}, {"ScheduledProcedureStepSequence": "x"}, {"PatientID": [Identifier()]}):
        with pytest.raises(TypeError):
            Identifier(values)  # type: ignore[arg-type]


def _nested(depth: int, undefined: bool) -> bytes:
    data = b""
    for _ in range(depth):
        if undefined:
            start = struct.pack("<HHI", 0x0040, 0x0100, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            data = start + data + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        else:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data
            data = struct.pack("<HHI", 0x0040, 0x0100, len(item)) + item
    return data


@pytest.mark.parametrize("undefined", [False, True])
def test_depth_is_bounded(undefined: bool) -> None:
    assert Identifier.parse(_nested(16, undefined), IMPLICIT)
    for depth in (17, 5000):
        with pytest.raises(IdentifierError, match="nested too deep"):
            Identifier.parse(_nested(depth, undefined), IMPLICIT)


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\0\x20\0",
        struct.pack("<HHI", 0x0010, 0x0020, 4) + b"ab",
        struct.pack("<HHI", 0x0010, 0x0020, 0xFFFFFFFE),
        struct.pack("<HHI", 0x0040, 0x0100, 0xFFFFFFFF),
        struct.pack("<HHI", 0x0040, 0x0100, 4) + b"abcd",
        struct.pack("<HHI", 0xFFFE, 0xE00D, 0),
        struct.pack("<HHI", 0x0028, 0x0010, 1) + b"a",
        b"\0" * (MAX_IDENTIFIER + 8),
        struct.pack("<HHI", 0x0009, 0x1001, 0) * 70_000,
        struct.pack("<HHI", 0x0020, 0x000D, 200_000) + b"\\" * 200_000,
        (struct.pack("<HHI", 0x0040, 0x0100, 80_000 * 8) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 80_000),
    ],
)  # fmt: skip
def test_damaged_or_hostile(data: bytes) -> None:
    with pytest.raises(IdentifierError):
        Identifier.parse(data, IMPLICIT)


def test_deflate_bomb_costs_no_memory() -> None:
    bomb = zlib.compressobj(9, wbits=-15)
    data = b"".join([bomb.compress(b"\0" * (1 << 20)) for _ in range(300)]) + bomb.flush()
    tracemalloc.start()
    with pytest.raises(IdentifierError, match="too long"):
        Identifier.parse(data, DEFLATED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    for damaged in (b"", b"\xff\xff\xff", zlib.compress(b"abc"), sample().encode(DEFLATED)[:-8]):
        with pytest.raises(IdentifierError):
            Identifier.parse(damaged, DEFLATED)


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
@settings(max_examples=600, deadline=None)
def test_any_bytes_give_an_identifier_or_its_error(data: bytes, syntax: str) -> None:
    try:
        read = Identifier.parse(data, syntax)
    except IdentifierError:
        return
    # What could be read can be written, and is then the same for every further reader.
    once = Identifier.parse(read.encode(syntax), syntax)
    assert Identifier.parse(once.encode(syntax), syntax) == once


@given(st.data(), st.sampled_from(SYNTAXES[:3]))
@settings(max_examples=600, deadline=None)
def test_damaged_samples_give_an_identifier_or_its_error(draws: st.DataObject, syntax: str) -> None:
    data = bytearray(sample().encode(syntax))
    for _ in range(draws.draw(st.integers(1, 6))):
        place = draws.draw(st.integers(0, len(data) - 1))
        data[place] = draws.draw(st.sampled_from([0, 1, 0x10, 0x40, 0x5C, 0x7F, 0x80, 0xFE, 0xFF]))
    cut = draws.draw(st.integers(0, len(data)))
    for hostile in (bytes(data), bytes(data[:cut])):
        try:
            Identifier.parse(hostile, syntax).encode(EXPLICIT)
        except IdentifierError:
            continue


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\\\0", exclude_categories=("Cs", "Cc")), max_size=20).map(
    str.strip
)


@given(
    st.dictionaries(st.sampled_from(["PatientName", "StudyDescription", "PatientID", "AccessionNumber"]), _TEXTS),
    st.sampled_from(SYNTAXES),
)
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(values: dict[str, str], syntax: str) -> None:
    read = Identifier.parse(Identifier(values).encode(syntax), syntax)
    assert {key: read[key] for key in values} == values


def test_empty_sequence_of_pydicom() -> None:
    theirs = Dataset()
    theirs.ScheduledProcedureStepSequence = PydicomSequence([Dataset()])
    assert Identifier.parse(_written(theirs, True, True), IMPLICIT) == Identifier.of(
        ScheduledProcedureStepSequence=[Identifier()]
    )
