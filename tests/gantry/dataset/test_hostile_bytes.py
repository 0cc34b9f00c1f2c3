"""Whatever the bytes: no exception, bounded time, and text that a database can keep."""

from __future__ import annotations

import time
from pathlib import Path

import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gantry.dataset.dataset_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    deflated,
    element,
    image,
    item,
    sequence,
    text,
)

from gantry.dataset import INDEXED_KEYWORDS, scan, scan_identity

SYNTAXES = st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED, "", "1.2.3"])
TAGS = st.sampled_from(
    [indexed.tag for indexed in INDEXED_KEYWORDS.values()]
    + [0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00081140, 0x00091001, 0x7FE00010, 0xFFFCFFFC]
)
VRS = st.sampled_from(["UI", "LO", "PN", "US", "SQ", "UN", "OB", "UT", "ZZ", "\0\0"])
LENGTHS = st.none() | st.sampled_from([0, 1, 2, 7, 8, UNDEFINED, UNDEFINED - 1, 0xFFFF, 1 << 31])


@st.composite
def elements(draw: st.DrawFn) -> bytes:
    tag, vr, length, value = draw(TAGS), draw(VRS), draw(LENGTHS), draw(st.binary(max_size=40))
    if length is not None and vr not in {"SQ", "UN", "OB", "UT"} and length > 0xFFFF:
        length = 0xFFFF
    return element(tag, vr, value, draw(st.sampled_from([IMPLICIT, EXPLICIT, BIG])), length=length)


def check(data: bytes, syntax: str) -> None:
    for whole in (True, False):
        started = time.process_time()
        header = scan(data, syntax, whole=whole)
        identity = scan_identity(memoryview(data), syntax, whole=whole)
        assert time.process_time() - started < 1
        for value in header.values.values():
            for one in value if isinstance(value, list) else [value]:
                assert "\0" not in one
                one.encode("utf-8")
        assert all(warning.isprintable() for warning in header.warnings)
        assert len(header.warnings) <= 20
        assert all(uid is None or isinstance(uid, str) for uid in identity[:4])


@given(st.binary(max_size=4000), SYNTAXES)
def test_random_bytes(data: bytes, syntax: str) -> None:
    check(data, syntax)


@given(st.lists(elements(), max_size=30), SYNTAXES, st.booleans())
@settings(max_examples=300)
def test_random_elements(parts: list[bytes], syntax: str, behind: bool) -> None:
    data = b"".join(parts)
    check(image(before=data) if behind else data, syntax)


@given(
    st.sampled_from([IMPLICIT, EXPLICIT, BIG]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=40),
    st.sampled_from([b"ISO_IR 100", b"\\ISO 2022 IR 87", b"ISO_IR 192", b"GB18030", b"ISO 2022 IR 13\\ISO 2022 IR 149"]),
)
@settings(max_examples=300)
def test_mutated_headers(syntax: str, changes: list[tuple[int, int]], charset: bytes) -> None:
    nested = sequence(0x00081140, item(text(0x00081155, "UI", "1.2", syntax), syntax), syntax=syntax)
    data = bytearray(image(syntax, charset=charset, between=nested, name="Müller^\x1b$B;3".encode("iso8859-1")))
    for position, byte in changes:
        data[position % len(data)] = byte
    check(bytes(data), syntax)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=60),
    st.integers(0, 4000),
)
def test_mutated_real_header(changes: list[tuple[int, int]], size: int) -> None:
    data = bytearray(CT[:4000])
    for position, byte in changes:
        data[position] = byte
    check(bytes(data[:size]), EXPLICIT)


CT = (Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm").read_bytes()[336:]


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=5), st.integers(0, 5000))
def test_mutated_deflate_streams(changes: list[tuple[int, int]], size: int) -> None:
    stream = bytearray(deflated(CT[:6000]))
    for position, byte in changes:
        stream[position % len(stream)] = byte
    check(bytes(stream[:size]), DEFLATED)


@given(st.binary(max_size=200), st.binary(max_size=30))
@settings(max_examples=300)
def test_random_text(raw: bytes, charset: bytes) -> None:
    check(image(charset=charset, name=raw, patient_id=raw), EXPLICIT)


PIECES = b"\x1b$B|\x1b(B|\x1b(J|\x1b$)C|\x1b$)A|\x1b)I|\x1b-L|\x1b|\\|^|=| |\r|;3ED|\xb1\xe6|\xff|\0|\x7f".split(b"|")
EXTENSIONS = ["", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 159", "\\ISO 2022 IR 149\\ISO 2022 IR 58"]


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from(EXTENSIONS))
@settings(max_examples=300)
def test_random_code_extensions(parts: list[bytes], charset: str) -> None:
    check(image(charset=charset, name=b"".join(parts)), EXPLICIT)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("byte", [b"\0", b"\xff", b"\x08", b"\x20", b"A"])
def test_megabytes_of_one_byte(syntax: str, byte: bytes) -> None:
    check(byte * (8 << 20), syntax)
    check(image(syntax)[:100] + byte * (8 << 20), syntax)
    check(byte * (1 << 20), DEFLATED)
