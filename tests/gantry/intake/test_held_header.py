"""What is shown of a held object: as far as it can be read, whatever its bytes are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import part10_files as files

from gantry.dataset import DatasetError
from gantry.intake.held_header import MAX_ATTRIBUTES, MAX_TEXT, HeldHeader, read_header


def written(place: Path, content: bytes) -> Path:
    path = place / "held"
    path.write_bytes(content)
    return path


def file_of(dataset: bytes) -> bytes:
    return files.part10(dataset, sop_class=files.CT_IMAGE_STORAGE, instance=f"{files.ROOT}.1.1.1")


def whole(**changes: str) -> bytes:
    return file_of(files.ct_dataset(**changes))  # type: ignore[arg-type]


def test_names_values_and_who_may_see_them(tmp_path: Path) -> None:
    found = {one.keyword: one for one in read_header(written(tmp_path, whole(patient_name="Müller^Anna"))).attributes}
    assert found["PatientName"].text == "Müller^Anna"
    assert found["PatientName"].personal
    assert (found["Modality"].text, found["Modality"].personal, found["Modality"].tag) == ("CT", False, "(0008,0060)")
    assert "PixelData" not in found


def test_damage_ends_the_list_with_a_word(tmp_path: Path) -> None:
    content = whole()
    at = content.index(b"\x08\x00\x60\x00")
    found = read_header(written(tmp_path, content[: at + 6] + b"\xff\xff" + content[at + 8 :]))
    assert found.attributes
    assert found.attributes[-1].tag < "(0008,0060)"
    assert "(0008,0060)" in found.note or "Modality" in found.note


def test_long_values_and_many_attributes_are_cut(tmp_path: Path) -> None:
    long = "x" * 4000
    shown = read_header(written(tmp_path, whole(patient_id=long))).attributes
    text = next(one.text for one in shown if one.keyword == "PatientID")
    assert text == "x" * MAX_TEXT + "\u2026"
    dataset = b"".join(bytes([0x11, 0x00, n & 255, 0x10 + (n >> 8)]) + b"LO\x02\x00ab" for n in range(MAX_ATTRIBUTES + 9))
    found = read_header(written(tmp_path, file_of(dataset)))
    assert (len(found.attributes), "first" in found.note) == (MAX_ATTRIBUTES, True)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(132, 900), change=st.binary(min_size=1, max_size=40), cut=st.integers(140, 1000))
def test_any_bytes_give_a_list_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: bytes, cut: int
) -> None:
    content = bytearray(whole())
    content[place : place + len(change)] = change
    path = written(tmp_path_factory.getbasetemp(), bytes(content[:cut]))
    try:
        found = read_header(path)
    except DatasetError:
        return
    assert isinstance(found, HeldHeader)
