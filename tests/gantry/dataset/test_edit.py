"""Edits: declared, carried out in every encoding, refused where they would harm; all other bytes stay as they are."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gantry.dataset.dataset_bytes import BIG, DEFLATED, EXPLICIT, IMPLICIT, element, item, sequence, text
from tests.support import part10_files as files

from gantry.dataset import DatasetError, read_part10
from gantry.dataset.edit import BadEdit, CannotEdit, EditResult, apply, parse_edits, prepare

SYNTAXES = [EXPLICIT, IMPLICIT, BIG]
PIXELS = bytes(range(256)) * 16


def example(syntax: str, *, undefined: bool = True, charset: str = "ISO_IR 100") -> bytes:
    """A data set with a sequence, an item in an item, private elements, pixels and what follows them."""
    inner = sequence(
        0x00081199,
        item(text(0x00081155, "UI", "1.2.3", syntax), syntax, undefined=not undefined),
        syntax=syntax,
        undefined=undefined,
    )
    first = item(text(0x00400007, "LO", "Head", syntax) + text(0x00400009, "SH", "S1", syntax), syntax, undefined=undefined)
    second = item(inner + text(0x00400009, "SH", "S2", syntax), syntax, undefined=undefined)
    return b"".join([
        text(0x00080005, "CS", charset, syntax), text(0x00080018, "UI", "1.2.3.4", syntax), text(0x00080060, "CS", "CT", syntax),
        text(0x00081030, "LO", "M\xfcller study".encode("latin-1"), syntax), text(0x00100010, "PN", "DOE^JOHN", syntax),
        text(0x00100020, "LO", "OLD-17", syntax), text(0x00100030, "DA", "19700101", syntax),
        sequence(0x00400275, first, second, syntax=syntax, undefined=undefined),
        element(0x7FE00010, "OW", PIXELS, syntax), element(0xFFFCFFFC, "OB", b"\0" * 10, syntax),
    ])  # fmt: skip


def edited(data: bytes, syntax: str, *edits: dict[str, Any]) -> tuple[bytes, EditResult]:
    into = io.BytesIO()
    result = apply(parse_edits(list(edits)), data, syntax, into)
    assert result.bytes == len(into.getvalue())
    assert result.sha256 == hashlib.sha256(into.getvalue()).digest()
    return into.getvalue(), result


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [True, False])
def test_what_is_not_named_stays_byte_for_byte(syntax: str, undefined: bool) -> None:
    data = example(syntax, undefined=undefined)
    assert edited(data, syntax)[0] == data
    # Opened and written anew, with nothing in it that changes.
    same, result = edited(
        data, syntax, {"op": "map", "tag": "RequestAttributesSequence[*].ScheduledProcedureStepID", "table": {"no": "x"}}
    )
    assert same == data
    assert result.differences == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [True, False])
def test_every_operation_in_every_encoding(syntax: str, undefined: bool) -> None:
    data = example(syntax, undefined=undefined)
    out, result = edited(
        data, syntax,
        {"op": "set", "tag": "PatientName", "value": "ÄRGER^ÖDÖN"},
        {"op": "remove", "tag": "PatientBirthDate"},
        {"op": "set", "tag": "InstitutionName", "value": "General"},
        {"op": "copy", "from": "PatientID", "tag": "StudyID"},
        {"op": "replace", "tag": "PatientID", "pattern": "^OLD-", "with": "N"},
        {"op": "map", "tag": "(0008,0060)", "table": {"CT": "OT"}},
        {"op": "set", "tag": "RequestAttributesSequence[1].ScheduledProcedureStepID", "value": "SECOND"},
        {"op": "remove", "tag": "RequestAttributesSequence[0].ScheduledProcedureStepDescription"},
        {"op": "set", "tag": "OtherPatientIDsSequence[0].PatientID", "value": "77"},
        {"op": "set", "tag": "ImageType", "value": ["DERIVED", "SECONDARY"]},
    )  # fmt: skip
    expected = {
        "PatientName": ("DOE^JOHN", "ÄRGER^ÖDÖN"), "PatientBirthDate": ("19700101", None), "InstitutionName": (None, "General"),
        "StudyID": (None, "OLD-17"), "PatientID": ("OLD-17", "N17"), "Modality": ("CT", "OT"),
        "RequestAttributesSequence[1].ScheduledProcedureStepID": ("S2", "SECOND"),
        "RequestAttributesSequence[0].ScheduledProcedureStepDescription": ("Head", None),
        "OtherPatientIDsSequence[0].PatientID": (None, "77"), "ImageType": (None, "DERIVED\\SECONDARY"),
    }  # fmt: skip
    assert {one.path: (one.before, one.after) for one in result.differences} == expected
    tail = element(0x7FE00010, "OW", PIXELS, syntax) + element(0xFFFCFFFC, "OB", b"\0" * 10, syntax)
    assert out.endswith(tail)
    found = pydicom.filereader.read_dataset(io.BytesIO(out), syntax == IMPLICIT, syntax != BIG)
    found.decode()
    assert (str(found.PatientName), found.PatientID, found.StudyID, found.Modality) == ("ÄRGER^ÖDÖN", "N17", "OLD-17", "OT")
    assert "PatientBirthDate" not in found
    assert found.StudyDescription == "Müller study"
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"]
    one, two = found.RequestAttributesSequence
    assert (one.ScheduledProcedureStepID, two.ScheduledProcedureStepID) == ("S1", "SECOND")
    assert "ScheduledProcedureStepDescription" not in one
    assert two.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert found.OtherPatientIDsSequence[0].PatientID == "77"
    assert [one.tag for one in found] == sorted(one.tag for one in found)


def test_a_uid_changes_by_an_explicit_map_only() -> None:
    data = example(EXPLICIT)
    out, result = edited(data, EXPLICIT, {"op": "map", "tag": "SOPInstanceUID", "table": {"1.2.3.4": "2.25.1"}})
    assert result.sop_instance_uid == "2.25.1"
    assert text(0x00080018, "UI", "2.25.1") in out
    with pytest.raises(CannotEdit, match="not in the table"):
        edited(data, EXPLICIT, {"op": "map", "tag": "SOPInstanceUID", "table": {"1.9": "1.8"}, "otherwise": "fail"})
    # A private UID is known by the VR in the data set.
    private = text(0x00091010, "LO", "ACME") + text(0x00091055, "UI", "1.2")
    for edit in (
        {"op": "remove"},
        {"op": "set", "value": "x", "vr": "LO"},
        {"op": "replace", "pattern": "1", "with": "2", "vr": "LO"},
    ):
        with pytest.raises(CannotEdit, match="is a UID"):
            edited(private, EXPLICIT, {"tag": "(0009,1055)", **edit})


@pytest.mark.parametrize(
    ("charset", "value", "raw"),
    [
        ("ISO_IR 192", "山田^太郎", "山田^太郎".encode()),
        ("ISO_IR 144", "Люксембург", None),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎", None),
        ("ISO_IR 100", "山田", "refused"),
        ("", "é", "refused"),
    ],
)
def test_text_is_written_in_the_character_set_of_the_object(charset: str, value: str, raw: Any) -> None:
    data = (text(0x00080005, "CS", charset) if charset else b"") + text(0x00100010, "PN", "A")
    edit = {"op": "set", "tag": "PatientName", "value": value}
    if raw == "refused":
        with pytest.raises(CannotEdit, match="cannot be written in the character set") as refused:
            edited(data, EXPLICIT, edit)
        assert value not in str(refused.value)
        return
    out, _ = edited(data, EXPLICIT, edit)
    found = pydicom.filereader.read_dataset(io.BytesIO(out), False, True)
    found.decode()
    assert str(found.PatientName) == value
    if raw is not None:
        assert raw in out


def test_an_item_has_its_own_character_set() -> None:
    inside = text(0x00080005, "CS", "ISO_IR 192") + text(0x00400007, "LO", "x")
    data = text(0x00080005, "CS", "ISO_IR 100") + sequence(0x00400275, item(inside, undefined=False), undefined=False)
    out, _ = edited(
        data, EXPLICIT, {"op": "set", "tag": "RequestAttributesSequence[0].ScheduledProcedureStepDescription", "value": "é"}
    )
    assert "é".encode() in out


def test_group_lengths_tell_the_truth_again() -> None:
    group = text(0x00100010, "PN", "DOE") + text(0x00100020, "LO", "17")
    other = element(0x00080000, "UL", struct.pack("<I", 999)) + text(0x00080060, "CS", "CT")
    data = other + element(0x00100000, "UL", struct.pack("<I", len(group))) + group
    out, _ = edited(data, EXPLICIT, {"op": "set", "tag": "PatientName", "value": "A MUCH LONGER NAME"})
    changed = text(0x00100010, "PN", "A MUCH LONGER NAME") + text(0x00100020, "LO", "17")
    assert out == other + element(0x00100000, "UL", struct.pack("<I", len(changed))) + changed
    assert edited(data, EXPLICIT, {"op": "remove", "tag": "PatientName"}, {"op": "remove", "tag": "PatientID"})[0] == other


def test_an_element_that_is_there_twice_is_gone_or_there_once() -> None:
    data = text(0x00100010, "PN", "ONE") + text(0x00100010, "PN", "TWO") + text(0x00100020, "LO", "17")
    assert edited(data, EXPLICIT, {"op": "remove", "tag": "PatientName"})[0] == text(0x00100020, "LO", "17")
    assert edited(data, EXPLICIT, {"op": "set", "tag": "PatientName", "value": "X"})[0] == text(0x00100010, "PN", "X") + text(
        0x00100020, "LO", "17"
    )


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("x", "needs an \"op\""),
        ({"op": "eval", "tag": "PatientID"}, "needs an \"op\""),
        ({"op": "set", "tag": "PatientID"}, "needs value"),
        ({"op": "set", "tag": "PatientID", "value": "a", "more": 1}, "does not know 'more'"),
        ({"op": "set", "tag": "PatientId", "value": "a"}, "did you mean PatientID"),
        ({"op": "remove", "tag": "PixelData"}, "not edited"),
        ({"op": "remove", "tag": "(7FE1,0010)"}, "not edited"),
        ({"op": "remove", "tag": "(0002,0010)"}, "not edited"),
        ({"op": "remove", "tag": "(0010,0000)"}, "not edited"),
        ({"op": "set", "tag": "Rows", "value": "1"}, "describes the pixel data"),
        ({"op": "set", "tag": "SpecificCharacterSet", "value": "ISO_IR 192"}, "rest of the object depends"),
        ({"op": "map", "tag": "SOPClassUID", "table": {"1": "2"}}, "rest of the object depends"),
        ({"op": "set", "tag": "StudyInstanceUID", "value": "1.2"}, "explicit `map`"),
        ({"op": "remove", "tag": "StudyInstanceUID"}, "explicit `map`"),
        ({"op": "map", "tag": "StudyInstanceUID", "table": {"1.2": "01.2"}}, "no value of VR UI"),
        ({"op": "map", "tag": "StudyInstanceUID", "table": {"1.2": "1.3"}, "otherwise": "remove"}, "not removed"),
        ({"op": "set", "tag": "PatientBirthDate", "value": "1.1.1970"}, "no value of VR DA"),
        ({"op": "set", "tag": "Modality", "value": "ct"}, "no value of VR CS"),
        ({"op": "set", "tag": "PatientID", "value": "a\\b"}, "give a list"),
        ({"op": "set", "tag": "PatientID", "value": "a\0"}, "control characters"),
        ({"op": "set", "tag": "PatientID", "value": "a" * 65}, "at most 64"),
        ({"op": "set", "tag": "RequestAttributesSequence", "value": "a"}, "a sequence is not set"),
        ({"op": "set", "tag": "PatientID[0]", "value": "a"}, "an item is no element"),
        ({"op": "set", "tag": "PatientID.StudyID", "value": "a"}, "is no sequence"),
        ({"op": "set", "tag": "(0009,1001)", "value": "a"}, "give its \"vr\""),
        ({"op": "replace", "tag": "PatientID", "pattern": "(", "with": ""}, "no regular expression"),
        ({"op": "map", "tag": "PatientID", "table": {}}, "1 to 10000"),
        ({"op": "copy", "from": "RequestAttributesSequence[*].ScheduledProcedureStepID", "tag": "PatientID"}, "from one place"),
        ({"op": "set", "tag": ".".join(["ContentSequence[0]"] * 9) + ".TextValue", "value": "a"}, "at most 8"),
    ],
)  # fmt: skip
def test_declarations_that_cannot_work_are_refused(edit: Any, message: str) -> None:
    with pytest.raises(BadEdit, match=message.replace("(", r"\(").replace("[", r"\[")):
        parse_edits([edit])


@pytest.mark.parametrize(
    ("data", "syntax", "message"),
    [
        (b"\x10\x00\x10\x00PN\xff\x7fshort", EXPLICIT, "longer than what it lies in"),
        (example(EXPLICIT)[:-3], EXPLICIT, "longer than"),
        (text(0x00080060, "CS", "CT") + b"\x10\x00", EXPLICIT, "ends inside"),
        (text(0x00080060, "CS", "CT") + b"\x10\x00\x10\x00??\x02\x00AB" + text(0x00200010, "SH", "1"), EXPLICIT, "unknown VR"),
        (example(EXPLICIT) + text(0x00100010, "PN", "HIDDEN"), EXPLICIT, "behind the pixel data"),
        (text(0x00080060, "CS", "CT") + element(0x00400275, "SQ", b"", length=0xFFFFFFFF), EXPLICIT, "damaged"),
        (text(0x00080060, "CS", "CT") + element(0x00400275, "UN", b"ab"), EXPLICIT, "not as a sequence"),
        (text(0x00080060, "CS", "CT") + element(0x00400275, "SQ", b"abcdefgh"), EXPLICIT, "no sequence of items"),
        (b"", DEFLATED, "deflated"),
    ],
)
def test_an_object_that_cannot_be_read_to_its_end_is_refused(data: bytes, syntax: str, message: str) -> None:
    with pytest.raises(CannotEdit, match=message):
        edited(data, syntax, {"op": "remove", "tag": "RequestAttributesSequence[0].ScheduledProcedureStepID"})


def test_a_catastrophic_expression_ends() -> None:
    data = text(0x00100020, "LO", "a" * 40 + "!")
    with pytest.raises(CannotEdit, match="took longer"):
        edited(data, EXPLICIT, {"op": "replace", "tag": "PatientID", "pattern": "^(a|a)*$", "with": ""})


def test_large_elements_are_not_copied() -> None:
    pixels = bytes(8 << 20)
    data = text(0x00100020, "LO", "1") + element(0x00291010, "OB", pixels) + element(0x7FE00010, "OW", pixels)
    plan = prepare(parse_edits([{"op": "set", "tag": "PatientID", "value": "2"}]), memoryview(data), EXPLICIT)
    pieces = list(plan.pieces())
    assert max(len(piece) for piece in pieces) <= 1 << 20
    assert sum(len(piece) for piece in pieces if piece.obj is not data) < 100
    assert sum(map(len, pieces)) == plan.size == len(data)


def test_real_files_of_all_kinds() -> None:
    edits = [
        {"op": "set", "tag": "PatientName", "value": "NEW^NAME"},
        {"op": "remove", "tag": "PatientBirthDate"},
        {"op": "set", "tag": "RequestAttributesSequence[0].ScheduledProcedureStepID", "value": "x1"},
    ]
    count = 0
    for path in files.packaged():
        whole = path.read_bytes()
        try:
            part10 = read_part10(memoryview(whole)[: 1 << 20], total=len(whole))
            out, _ = edited(whole[part10.dataset_offset :], part10.transfer_syntax_uid, *edits)
        except (CannotEdit, DatasetError):  # damaged ones among them
            continue
        found = pydicom.dcmread(io.BytesIO(whole[: part10.dataset_offset] + out), force=True)
        assert str(found.PatientName) == "NEW^NAME"
        assert "PatientBirthDate" not in found
        assert found.RequestAttributesSequence[0].ScheduledProcedureStepID == "x1"
        count += 1
    assert count >= 50


_KEYWORDS = st.sampled_from(
    ["PatientID", "StudyID", "PatientName", "(0009,1001)", "RequestAttributesSequence[0].ScheduledProcedureStepID"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_KEYWORDS, st.text(max_size=20)), max_size=4), st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_any_bytes_are_edited_or_refused_by_name(edits: list[tuple[str, str]], noise: bytes, syntax: str) -> None:
    data = example(syntax)
    data = data[: len(data) // 3] + noise + data[len(data) // 3 :]
    try:
        declared = parse_edits([{"op": "set", "tag": tag, "value": value, "vr": "LO"} for tag, value in edits])
        apply(declared, data, syntax, io.BytesIO())
    except (BadEdit, CannotEdit):
        return


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\\\x7f"), min_size=1, max_size=64)
    .map(str.strip)
    .filter(bool)
)
def test_a_value_comes_back_as_it_was_set(value: str) -> None:
    try:
        out, _ = edited(example(EXPLICIT), EXPLICIT, {"op": "set", "tag": "StudyDescription", "value": value})
    except (BadEdit, CannotEdit):  # C1 controls
        return
    found = pydicom.filereader.read_dataset(io.BytesIO(out), False, True)
    found.decode()
    assert found.StudyDescription == value


def test_the_keywords_are_those_of_the_dictionary() -> None:
    from tools import generate_edit_keywords

    assert generate_edit_keywords.TARGET.read_text(encoding="ascii") == generate_edit_keywords.text()
    assert Path(generate_edit_keywords.TARGET).exists()
