from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.dataset import has_leading_zero, is_valid_uid, normalise_uid, parse_date, parse_int
from gantry.dataset.charset import character_set
from gantry.dataset.values import decode_number, decode_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240229", date(2024, 2, 29)),
        ("2024.02.29", date(2024, 2, 29)),
        ("2024-02-29", date(2024, 2, 29)),
        ("20240229 ", date(2024, 2, 29)),
        (["20240229", "20240301"], date(2024, 2, 29)),
        ("20230229", None),
        ("00000000", None),
        ("2024.0229", None),
        ("202402291", None),
        ("20240101-20240131", date(2024, 1, 1)),
        ("2024", None),
        ("\uff12\uff10\uff12\uff140229", None),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_parse_date(text: str | list[str] | None, expected: date | None) -> None:
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12),
        (" +12 ", 12),
        ("-0012", -12),
        ("12.0", 12),
        ("12.5", None),
        ("1e3", None),
        (["3", "4"], 3),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", None),
        ("-9223372036854775808", -9223372036854775808),
        ("9" * 60_000, None),
        ("\uff11\uff12", None),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_parse_int(text: str | list[str] | None, expected: int | None) -> None:
    assert parse_int(text) == expected


@given(st.text() | st.lists(st.text()))
def test_parsing_never_raises(text: str | list[str]) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), date)
    assert parse_int(text) is None or isinstance(parse_int(text), int)


@pytest.mark.parametrize(
    ("uid", "valid", "zero"),
    [
        ("1.2.840.10008.1.2", True, False),
        ("1.02.3", True, True),
        ("00.1", True, True),
        ("1.0.3", True, False),
        ("0", True, False),
        ("9" * 64, True, False),
        ("9" * 65, False, False),
        ("", False, False),
        ("1..2", False, False),
        (".1", False, False),
        ("1.", False, False),
        ("1.2\n", False, False),
        ("1.2 ", False, False),
        ("1.2\\3", False, False),
        ("../../etc/passwd", False, False),
        ("1.٢", False, False),
    ],
)
def test_uids(uid: str, valid: bool, zero: bool) -> None:
    assert is_valid_uid(uid) == valid
    assert has_leading_zero(uid) == zero
    assert normalise_uid(uid + " \0\0") == uid.rstrip(" ")


@pytest.mark.parametrize(
    ("raw", "vr", "expected"),
    [
        (b"A\\B \\ C ", "LO", ["A", "B", " C"]),
        (b" A \\ B ", "CS", ["A", "B"]),
        (b"\\", "LO", ["", ""]),
        (b" 7 ", "IS", "7"),
        (b"  ", "DA", ""),
        (b"1.2.3\0", "UI", "1.2.3"),
        (b"Doe^Jane=\\Roe", "PN", ["Doe^Jane=", "Roe"]),
        (b"<script>'; drop table\x07", "LO", "<script>'; drop table\x07"),
    ],
)
def test_decode_text(raw: bytes, vr: str, expected: str | list[str]) -> None:
    warnings: list[str] = []
    assert decode_text(raw, vr, character_set(b""), warnings) == expected
    assert warnings == []


def test_a_list_has_an_end() -> None:
    warnings: list[str] = []
    values = decode_text(b"\\" * 65_000, "LO", character_set(b""), warnings)
    assert values == [""] * 256
    assert warnings == ["an attribute has more than 256 values; the others were not kept"]
    assert len(decode_number(bytes(65_000), b"US", [], big_endian=False)) == 256


def test_text_outside_of_ascii_where_only_ascii_may_be() -> None:
    warnings: list[str] = []
    assert decode_text("SCHÄDEL".encode("iso8859-1"), "CS", character_set(b"ISO_IR 100"), warnings) == "SCHÄDEL"
    assert warnings == ["a value of a VR that knows only ASCII holds other characters"]


@pytest.mark.parametrize(
    ("raw", "vr", "big_endian", "expected"),
    [
        (b"\0\1", b"US", False, "256"),
        (b"\0\1", b"US", True, "1"),
        (b"\0\1", b"\0\0", False, "256"),
        (b"\xff\xff", b"SS", False, "-1"),
        (b"\1\0\2\0", b"US", False, ["1", "2"]),
        (b"\1\0\2", b"US", False, "1"),
        (b"", b"US", False, ""),
        (b"512 ", b"IS", False, "512"),
        (b"12\\3", b"IS", False, ["12", "3"]),
        (b"\0\1", b"UN", False, "256"),
    ],
)
def test_decode_number(raw: bytes, vr: bytes, big_endian: bool, expected: str | list[str]) -> None:
    warnings: list[str] = []
    assert decode_number(raw, vr, warnings, big_endian=big_endian) == expected
    assert bool(warnings) == (raw == b"\1\0\2")
