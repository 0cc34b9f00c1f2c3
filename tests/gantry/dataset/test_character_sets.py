"""The examples are those of PS3.5 annexes H to K and of pydicom's charset files, and made ones."""

# ruff: noqa: RUF001 - these are names in many scripts
from __future__ import annotations

import time
from pathlib import Path

import pydicom.data
import pytest
from tests.gantry.dataset.dataset_bytes import EXPLICIT, image

from gantry.dataset import read_part10, scan
from gantry.dataset.charset import character_set

SINGLE_BYTE = [
    ("100", "iso8859-1", "Müller^Jörg"),
    ("101", "iso8859-2", "Černý^Łukasz"),
    ("109", "iso8859-3", "Ġorġ^Ħal"),
    ("110", "iso8859-4", "Bērziņš^Jānis"),
    ("144", "iso8859-5", "Иванов^Пётр"),
    ("127", "iso8859-6", "قباني^لنزار"),
    ("126", "iso8859-7", "Παπαδόπουλος^Γιώργος"),
    ("138", "iso8859-8", "שרון^דבורה"),
    ("148", "iso8859-9", "Yıldız^Şükrü"),
    ("203", "iso8859-15", "Œuvre^Žofie€"),
    ("166", "tis-620", "สมชาย^ใจดี"),
    ("13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
]
G1_ESCAPES = {
    "100": b"-A", "101": b"-B", "109": b"-C", "110": b"-D", "144": b"-L", "127": b"-G", "126": b"-F",
    "138": b"-H", "148": b"-M", "203": b"-b", "166": b"-T", "13": b")I",
}  # fmt: skip


def decoded(charset: bytes | str, raw: bytes, *, name: bool = True) -> tuple[str, list[str]]:
    warnings: list[str] = []
    declared = character_set(charset.encode() if isinstance(charset, str) else charset)
    text = declared.decode(raw, warnings, person_name=name)
    return text, [*declared.warnings, *warnings]


@pytest.mark.parametrize(("number", "codec", "name"), SINGLE_BYTE)
def test_single_byte_sets(number: str, codec: str, name: str) -> None:
    raw = name.encode(codec)
    assert decoded(f"ISO_IR {number}", raw) == (name, [])
    assert decoded(f"ISO 2022 IR {number}", raw) == (name, [])
    # As a code extension: the escape sequence is repeated behind each delimiter.
    escape = b"\x1b" + G1_ESCAPES[number]
    extended = b"^".join(escape + part for part in raw.split(b"^"))
    assert decoded(f"\\ISO 2022 IR {number}", b"Plain^Name=" + extended) == (f"Plain^Name={name}", [])


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("ISO_IR 192", "utf-8", "Ωmega^Ünïcode=王^小東=왕^소동"),
        ("GB18030", "gb18030", "王^小东😀"),
        ("GBK", "gbk", "张^小红"),
    ],
)
def test_sets_that_stand_alone(charset: str, codec: str, name: str) -> None:
    assert decoded(charset, name.encode(codec)) == (name, [])
    assert decoded(f"{charset}\\ISO 2022 IR 87", name.encode(codec))[0] == name


@pytest.mark.parametrize(
    ("charset", "raw", "name"),
    [
        (  # PS3.5 H.3.1
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (  # PS3.5 H.3.2
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (  # PS3.5 I.2
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (  # PS3.5 K.2
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
        ),
        ("\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B^A", "丂^A"),
        # JIS X 0208 pairs that contain the bytes of the delimiters \ ^ =
        ("\\ISO 2022 IR 87", b"\x1b$B\x30\x5c\x30\x5e\x30\x3d\x1b(B^X", "移緯綾^X"),
        # Kanji in G0 and katakana in G1 at the same time
        ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\x1b$B;3\xd4ED\x1b(J", "山ﾔ田"),
        ("\\ISO 2022 IR 100\\ISO 2022 IR 144", b"\x1b-AM\xfcller^\x1b-L\xb8\xd2\xd0\xdd", "Müller^Иван"),
    ],
)  # fmt: skip
def test_code_extensions(charset: str, raw: bytes, name: str) -> None:
    assert decoded(charset, raw) == (name, [])


def test_delimiters_and_controls_set_back() -> None:
    korean = b"\x1b$)C\xc8\xab"
    for delimiter in (b"\\", b"\r\n", b"\t", b"\f", b"^", b"="):
        text, warnings = decoded("ISO 2022 IR 100\\ISO 2022 IR 149", korean + delimiter + b"\xfc")
        assert text == "홍" + delimiter.decode() + "ü"
        assert warnings == []
    # Outside of names a caret is a character like any other.
    text, _ = decoded("ISO 2022 IR 100\\ISO 2022 IR 149", korean + b"^\xc8\xab", name=False)
    assert text == "홍^홍"


def test_an_escape_sequence_that_was_not_repeated() -> None:
    text, warnings = decoded("\\ISO 2022 IR 149", b"\x1b$)C\xc8\xab^\xb1\xe6\xb5\xbf")
    assert text == "홍^길동"
    assert warnings == ["an escape sequence is missing in a text"]
    assert decoded("\\ISO 2022 IR 58", "张".encode("gb2312"))[0] == "张"


@pytest.mark.parametrize(
    ("charset", "codec", "patient"),
    [
        ("GB18030", "gb18030", "乗俓"),
        ("GBK", "gbk", "乗"),
        ("ISO_IR 13", "shift_jis", "表ソ"),
        ("ISO_IR 192", "utf-8", "表"),
    ],
)
def test_a_backslash_inside_a_character_separates_nothing(charset: str, codec: str, patient: str) -> None:
    raw = f"{patient}\\B".encode(codec)
    if charset != "ISO_IR 192":
        assert raw.count(b"\\") > 1
    values = scan(image(charset=charset, patient_id=raw), EXPLICIT, whole=True).values
    assert values["PatientID"] == [patient, "B"]


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("ISO-IR 100", b"M\xfcller", "Müller"),
        ("ISO-8859-1", b"M\xfcller", "Müller"),
        ("ISO 8859-15", b"\xa4", "€"),
        ("ISO IR 192", "Müller".encode(), "Müller"),
        ("ISO_IR_192", "Müller".encode(), "Müller"),
        ("UTF-8", "Müller".encode(), "Müller"),
        ("iso_ir 144", b"\xb8", "И"),
        ("ISO 2022IR 100", b"M\xfcller", "Müller"),
        ("ISO2022IR149", "홍".encode("euc_kr"), "홍"),
        ("GB2312", "张".encode("gb2312"), "张"),
        ("\\ISO 2022-IR 87", b"\x1b$B;3\x1b(B", "山"),
    ],
)
def test_misspelled_terms(charset: str, raw: bytes, text: str) -> None:
    found, warnings = decoded(charset, raw)
    assert found == text
    assert "Specific Character Set has a misspelled term" in warnings


@pytest.mark.parametrize("charset", ["", "ISO_IR 6", "KLINGON", "ISO_IR 999", "ISO-8859-99"])
def test_undeclared_and_unknown(charset: str) -> None:
    assert decoded(charset, b"plain")[0] == "plain"
    for raw in ("Müller".encode(), b"M\xfcller"):
        text, warnings = decoded(charset, raw)
        assert text == "Müller"
        assert warnings


def test_bytes_that_are_no_characters() -> None:
    surrogate = "\ud800".encode("utf-8", "surrogatepass")
    for charset, raw in [
        ("ISO_IR 192", b"A\xff" + surrogate),
        ("GB18030", b"A\xff\xff"),
        ("GBK", b"A\xff"),
        ("ISO_IR 127", b"A\xff"),
        ("\\ISO 2022 IR 87", b"A\x1b$B\x7e\x7e\x30"),
        ("\\ISO 2022 IR 149", b"A\x1b$)C\xff"),
        ("\\ISO 2022 IR 58", b"A\x1b$)A\xb0"),
    ]:
        text, warnings = decoded(charset, raw)
        assert text.startswith("A")
        assert "\ufffd" in text
        assert warnings
        text.encode("utf-8")


def test_unknown_and_unannounced_escapes() -> None:
    assert decoded("\\ISO 2022 IR 87", b"A\x1b%GB") == (
        "A%GB",
        ["a text holds an escape sequence that DICOM does not know"],
    )
    text, warnings = decoded("ISO_IR 100", b"\x1b$B;3\x1b(B")
    assert text == "山"
    assert warnings


def test_hostile_escapes_take_no_time() -> None:
    for raw in (
        b"\x1b(B" * 21_000,
        b"\x1b$B" + b"a\xff" * 32_000,
        b"^\xff" * 32_000 + b"\x1b",
        b"\x1b" * 65_000,
    ):
        started = time.process_time()
        text, warnings = decoded("\\ISO 2022 IR 87", raw)
        assert time.process_time() - started < 0.25
        if b"(B" in raw:
            assert "a text holds too many escape sequences; the rest was not decoded" in warnings
        text.encode("utf-8")


# pydicom's files: what their authors say is in them (FileInfo.txt), not what pydicom reads.
PACKAGED = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",
    "chrX1.dcm": "Wang^XiaoDong=王^小東=",
    "chrX2.dcm": "Wang^XiaoDong=王^小东=",
}


@pytest.mark.parametrize(("file", "name"), PACKAGED.items())
def test_packaged_files(file: str, name: str) -> None:
    data = (Path(pydicom.data.__file__).parent / "charset_files" / file).read_bytes()
    part10 = read_part10(memoryview(data), total=len(data))
    header = scan(memoryview(data)[part10.dataset_offset :], part10.transfer_syntax_uid, whole=True)
    assert header.values["PatientName"] == name
    assert header.warnings == ()
