from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import timeit
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from tests.gantry.dataset.dataset_bytes import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    deflated,
    element,
    image,
    text,
)

from gantry.dataset import DamagedHeader, Envelope, NotDicom, Part10, build_prefix, read_part10
from gantry.dataset.envelope import IMPLEMENTATION_CLASS_UID, PRIVATE_INFORMATION_CREATOR_UID

ENVELOPE = Envelope(
    origin="dimse",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3.45",
    transfer_syntax_uid=EXPLICIT,
    calling_aet="SCANNER",
    called_aet="GANTRY",
    remote_address="127.0.0.1:40001",
    association_id=UUID("0b7b0f63-6f4c-4b5c-9d0d-5f43a5a2f3c1"),
    slot="r0",
    received_at=datetime(2024, 5, 31, 10, 15, 0, 123456, tzinfo=UTC),
    sha256=None,
)


def read(data: bytes, *, total: int | None = None) -> Part10:
    return read_part10(memoryview(data), total=len(data) if total is None else total)


def with_(**changes: object) -> Envelope:
    fields = {name: getattr(ENVELOPE, name) for name in Envelope.__slots__}
    return Envelope(**(fields | changes))  # type: ignore[arg-type]


def meta(syntax: str | None = EXPLICIT, *, encoding: str = EXPLICIT, length: int | None = 0) -> bytes:
    """Group 0002; `length` is what to add to the right group length, None leaves the element out."""
    rest = text(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.2", encoding) + text(0x00020003, "UI", "1.2.3.4", encoding)
    if syntax is not None:
        rest += text(0x00020010, "UI", syntax, encoding)
    if length is None:
        return rest
    return element(0x00020000, "UL", (len(rest) + length).to_bytes(4, "little"), encoding) + rest


PREAMBLE = bytes(128) + b"DICM"


# -- build_prefix


def test_what_is_written_is_read_back() -> None:
    prefix, digest_at = build_prefix(ENVELOPE)
    assert prefix[digest_at - 1 : digest_at + 65] == b'"' + b"0" * 64 + b'"'
    data = prefix + image()
    part10 = read(data)
    assert part10 == Part10(len(prefix), EXPLICIT, ENVELOPE.sop_class_uid, "1.2.3.45", ENVELOPE, ())
    digest = hashlib.sha256(image())
    finished = bytearray(data)
    finished[digest_at : digest_at + 64] = digest.hexdigest().encode()
    assert read(bytes(finished)).envelope == with_(sha256=digest.digest())
    assert build_prefix(with_(sha256=digest.digest()))[0] == finished[: len(prefix)]


def test_pydicom_reads_the_file() -> None:
    prefix, _ = build_prefix(ENVELOPE)
    dataset = pydicom.dcmread(io.BytesIO(prefix + image()))
    group = dataset.file_meta
    assert group.FileMetaInformationGroupLength == len(prefix) - 144
    assert group.FileMetaInformationVersion == b"\0\1"
    assert group.MediaStorageSOPInstanceUID == "1.2.3.45"
    assert group.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert group.SourceApplicationEntityTitle == group.SendingApplicationEntityTitle == "SCANNER"
    assert group.ReceivingApplicationEntityTitle == "GANTRY"
    assert group.PrivateInformationCreatorUID == PRIVATE_INFORMATION_CREATOR_UID
    assert json.loads(group.PrivateInformation)["slot"] == "r0"
    assert all(pydicom.uid.UID(uid).is_valid for uid in (IMPLEMENTATION_CLASS_UID, PRIVATE_INFORMATION_CREATOR_UID))
    assert dataset.PatientName == "Doe^Jane"


@pytest.mark.peer("dcmdump")
@pytest.mark.parametrize("sop_instance_uid", ["1.2.3.45", "1.2.3.456", "../../etc/passwd", "9" * 1000])
def test_dcmtk_reads_the_file(tmp_path: Path, sop_instance_uid: str) -> None:
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmdump of DCMTK is not installed")
    file = tmp_path / "file.dcm"
    file.write_bytes(build_prefix(with_(sop_instance_uid=sop_instance_uid))[0] + image())
    done = subprocess.run(["dcmdump", "+L", "-ll", "warn", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Doe^Jane" in done.stdout
    assert f"[{sop_instance_uid}]" in done.stdout


ENVELOPES = st.builds(
    Envelope,
    origin=st.text(max_size=10),
    sop_class_uid=st.text(max_size=80),
    sop_instance_uid=st.text(max_size=80),
    transfer_syntax_uid=st.text(max_size=40),
    calling_aet=st.text(max_size=20),
    called_aet=st.text(max_size=20),
    remote_address=st.text(max_size=40),
    association_id=st.none() | st.uuids(),
    slot=st.text(max_size=10),
    received_at=st.datetimes(timezones=st.just(UTC)),
    sha256=st.none() | st.binary(min_size=32, max_size=32),
)


@given(ENVELOPES)
def test_any_text_leaves_the_group_whole(envelope: Envelope) -> None:
    digest = envelope.sha256
    prefix, digest_at = build_prefix(envelope)
    assert len(prefix) % 2 == 0
    assert prefix[digest_at : digest_at + 64] == (b"0" * 64 if digest is None else digest.hex().encode())
    part10 = read(prefix + image())
    assert part10.dataset_offset == len(prefix)
    assert part10.envelope is not None
    assert part10.envelope.association_id == envelope.association_id
    assert part10.envelope.remote_address == envelope.remote_address
    assert part10.envelope.slot == envelope.slot
    assert part10.envelope.received_at == envelope.received_at
    assert part10.envelope.sha256 == (None if digest == bytes(32) else digest)


def test_uids_of_hostile_length() -> None:
    prefix, digest_at = build_prefix(with_(sop_instance_uid="1" * 100_000))
    assert prefix[digest_at : digest_at + 64] == b"0" * 64
    part10 = read(prefix + image())
    assert part10.sop_instance_uid == "1" * 65_534
    assert part10.dataset_offset == len(prefix)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'), (b'{"v"', b'["v"'), (b'"slot"', b'"slit"'), (b'"sha256":"0', b'"sha256":"x'),
        (b"+00:00", b"      "), (b"0b7b0f63", b"0b7b0fxx"), (b'"r0"', b'1234'), (b'"dimse"', b'[1,[1]]'),
    ],
)  # fmt: skip
def test_damaged_private_information_is_no_envelope(old: bytes, new: bytes) -> None:
    prefix, _ = build_prefix(ENVELOPE)
    assert prefix.count(old) == 1
    assert len(old) == len(new)
    part10 = read(prefix.replace(old, new) + image())
    assert part10.envelope is None
    assert part10.warnings == ("our private information is damaged",)
    assert part10.dataset_offset == len(prefix)


def test_the_private_information_of_others_is_no_envelope() -> None:
    prefix, _ = build_prefix(ENVELOPE)
    other = PRIVATE_INFORMATION_CREATOR_UID[:-1] + "x"
    part10 = read(prefix.replace(PRIVATE_INFORMATION_CREATOR_UID.encode(), other.encode()) + image())
    assert part10.envelope is None
    assert part10.warnings == ()


# -- read_part10


@pytest.mark.parametrize("start", [PREAMBLE, b"DICM", b""], ids=["preamble", "DICM only", "no preamble"])
@pytest.mark.parametrize("encoding", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("length", [0, 10, -10, None])
def test_file_meta_information_right_and_wrong(start: bytes, encoding: str, length: int | None) -> None:
    group = meta(encoding=encoding, length=length)
    part10 = read(start + group + image())
    assert part10.dataset_offset == len(start + group)
    assert part10.transfer_syntax_uid == EXPLICIT
    assert part10.sop_instance_uid == "1.2.3.4"
    assert part10.envelope is None
    expected = [] if start == PREAMBLE else ["the preamble is missing"]
    expected += ["the file meta information is in implicit VR"] if encoding == IMPLICIT else []
    if length is None:
        expected.append("the length of the file meta information is missing")
    elif length:
        expected.append("the length of the file meta information is wrong")
    assert part10.warnings == tuple(expected)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("start", [b"", PREAMBLE, bytes(128)], ids=["nothing", "preamble", "zeros"])
def test_without_file_meta_information(syntax: str, start: bytes) -> None:
    part10 = read(start + image(syntax))
    assert part10.transfer_syntax_uid == syntax
    assert part10.dataset_offset == len(start)
    assert part10.warnings[-1].startswith("the file meta information is missing")


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_without_a_transfer_syntax(syntax: str) -> None:
    part10 = read(PREAMBLE + meta(None) + image(syntax))
    assert part10.transfer_syntax_uid == syntax
    assert part10.warnings[-1].startswith("the transfer syntax is missing")


def test_a_deflated_data_set_that_looks_like_group_2() -> None:
    group = meta(DEFLATED)
    data = b"\x02\x00\x10\x00UI\x04\x001234" + deflated(image())
    assert read(PREAMBLE + group + data).dataset_offset == len(PREAMBLE + group)
    assert read(PREAMBLE + meta() + data).dataset_offset == len(PREAMBLE + meta()) + 12


@pytest.mark.parametrize(
    ("beginning", "warning"),
    [
        (b"MZ", "Windows"),
        (b"\x7fELF", "program"),
        (b"#!/bin/sh", "script"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
    ],
)
def test_other_formats_in_the_preamble_are_told(beginning: bytes, warning: str) -> None:
    part10 = read(beginning.ljust(128, b"\0") + b"DICM" + meta() + image())
    assert len(part10.warnings) == 1
    assert warning in part10.warnings[0]


def test_a_dicomdir_is_recognised() -> None:
    data = Path(str(get_testdata_file("DICOMDIR", download=False))).read_bytes()
    assert read(data).sop_class_uid == "1.2.840.10008.1.3.10"


def test_an_empty_data_set() -> None:
    part10 = read(PREAMBLE + meta())
    assert part10.dataset_offset == len(PREAMBLE + meta())
    assert part10.warnings == ("the data set is empty",)


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as packed:
            packed.writestr("a.dcm", PREAMBLE + meta() + image())
    else:
        with tarfile.open(fileobj=stream, mode="w") as tape:
            info = tarfile.TarInfo("a.dcm")
            info.size = 4
            tape.addfile(info, io.BytesIO(b"DICM"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"DI", "too short for DICOM"),
        (bytes(100), "neither"),
        (bytes(10_000), "neither"),
        (archive("zip"), "a ZIP archive: unpack it first"),
        (archive("tar"), "a tar archive: unpack it first"),
        (b"\x1f\x8b" + bytes(100), "a gzip archive: unpack it first"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(300), "a JPEG image"),
        (b"%PDF-1.7\n" + bytes(300), "a PDF document"),
        (b"MZ" + bytes(300), "a Windows program"),
        (b"\xd0\xcf\x11\xe0" + bytes(300), "an OLE document, such as Thumbs.db"),
        (b"the quick brown fox\n" * 30, "a text file"),
        (b"DICM is not at 128 " * 30, "no elements"),
        (b"\n" * 200 + b"DICM" + b"\n" * 200, "a text file"),
        (bytes(range(256)) * 20, "neither"),
        (b"".join(number.to_bytes(4, "little") for number in range(1, 3000)), "neither"),
        (b"".join(number.to_bytes(4, "big") for number in range(1, 3000)), "neither"),
    ],
)
def test_other_files_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises((NotDicom, DamagedHeader)) as caught:
        read(data)
    assert caught.value.reason.startswith(reason)
    assert isinstance(caught.value, NotDicom) == (not data.startswith(b"DICM"))


@pytest.mark.parametrize(
    ("data", "total", "reason"),
    [
        (PREAMBLE, None, "nothing follows"),
        (PREAMBLE + b"\xa5\x17\x99\xfe" * 1000, None, "no elements follow"),
        (PREAMBLE + meta()[:30], None, "the file ends inside"),
        (PREAMBLE + meta()[:-1], None, "the file ends inside"),
        (PREAMBLE + meta()[:-1], 10_000, "the file meta information is too long"),
        (
            PREAMBLE + meta() + b"\x02\0\x02\x01OB\0\0\xff\xff\xff\xff" + image(),
            None,
            "an element of the file meta",
        ),
        (
            PREAMBLE + text(0x00020016, "AE", "X") * 2000 + image(),
            None,
            "the file meta information has more than",
        ),
    ],
)
def test_damaged_headers(data: bytes, total: int | None, reason: str) -> None:
    with pytest.raises(DamagedHeader) as caught:
        read(data, total=total)
    assert caught.value.reason.startswith(reason)


def test_every_cut_of_a_file_is_named() -> None:
    data = build_prefix(ENVELOPE)[0] + image()
    offset = len(data) - len(image())
    for size in range(offset):
        with pytest.raises((NotDicom, DamagedHeader)):
            read(data[:size])
    assert read(data[: offset + 1]).dataset_offset == offset


@given(st.binary(max_size=600), st.sampled_from([b"", PREAMBLE, PREAMBLE + meta(), PREAMBLE + meta()[:40]]))
def test_random_bytes_raise_nothing_else(data: bytes, start: bytes) -> None:
    try:
        part10 = read(start + data)
    except (NotDicom, DamagedHeader):
        return
    assert part10.transfer_syntax_uid
    assert 0 <= part10.dataset_offset <= len(start + data)


def test_the_prefix_costs_little() -> None:
    # 3 us measured; a crowded machine is slower
    assert min(timeit.repeat(lambda: build_prefix(ENVELOPE), number=200, repeat=20)) / 200 < 100e-6
