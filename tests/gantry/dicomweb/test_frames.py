"""Raw frames: as stored, plain, in parts, single; cheap; refused with a cause."""

from __future__ import annotations

import re
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pydicom
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydicom.data import get_testdata_file
from tests.gantry.accounts.people import bearer
from tests.gantry.dicomweb.placed import address, place, place_bytes

pytestmark = pytest.mark.django_db
STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'


def packed(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert found is not None
    return Path(str(found))


def parts(answer: Any) -> list[tuple[str, bytes]]:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    message = BytesParser().parsebytes(b"Content-Type: " + answer["Content-Type"].encode() + b"\r\n\r\n" + content)
    # email decodes lines; the bytes are cut here by hand, with the boundary it found.
    mark = b"--" + str(message.get_boundary()).encode()
    found = []
    for part in content.split(mark)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        found.append((re.search(rb"Content-Type: ([^\r]+)", head)[1].decode(), body[:-2]))  # type: ignore[index]
    return found


def test_native_frames_are_slices_of_the_stored_pixels() -> None:
    path = packed("rtdose.dcm")
    pixels = pydicom.dcmread(path).PixelData
    version = place(path)
    size = 10 * 10 * 4
    got = parts(bearer().get(address(version) + "/frames/3,1", headers={"accept": STORED}))
    assert [body for _, body in got] == [pixels[2 * size : 3 * size], pixels[:size]]
    assert got[0][0] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


@pytest.mark.parametrize("name", ["examples_rgb_color.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"])
def test_compressed_frames_are_given_as_stored_or_decoded(name: str) -> None:
    path = packed(name)
    data = pydicom.dcmread(path)
    version, client = place(path), bearer()
    stored = client.get(address(version) + "/frames/1", headers={"accept": "application/octet-stream; transfer-syntax=*"})
    assert stored.status_code == 200, stored.content
    syntax = data.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        frame = next(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1))
        assert stored.content == frame
        assert stored["Content-Type"].endswith(f"transfer-syntax={syntax}")
    plain = client.get(address(version) + "/frames/1", headers={"accept": "application/octet-stream"})
    assert plain["Content-Type"] == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert len(plain.content) == data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated // 8
    if syntax.is_compressed and data.SamplesPerPixel == 1:
        assert plain.content == data.pixel_array.tobytes()


@pytest.mark.parametrize("name", ["rtdose_rle.dcm", "rtdose_expb.dcm", "rtdose.dcm"])
def test_any_frame_of_many_is_found(name: str) -> None:
    data = pydicom.dcmread(packed(name))
    version = place(packed(name))
    plain = bearer().get(address(version) + "/frames/7", headers={"accept": "application/octet-stream"})
    assert plain.content == data.pixel_array[6].astype("<u4").tobytes()


def test_a_jpeg_with_a_wrong_label_is_decoded_here() -> None:
    content = packed("SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    wanted = {"accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
    right, wrong = (
        place_bytes(content, instance="2.25.1"),
        place_bytes(content.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.70"), instance="2.25.2"),
    )
    assert b"transfer-syntax=1.2.840.10008.1.2.4.50" in bearer().get(address(right) + "/frames/1", headers=wanted).content[:200]
    answer = bearer().get(address(wrong) + "/frames/1", headers=wanted)
    assert b"transfer-syntax=1.2.840.10008.1.2.1\r" in answer.content[:200]
    assert len(answer.content) > 100 * 100 * 3


def test_big_endian_comes_as_little_endian() -> None:
    data = pydicom.dcmread(packed("MR_small_bigendian.dcm"))
    version = place(packed("MR_small_bigendian.dcm"))
    plain = bearer().get(address(version) + "/frames/1", headers={"accept": "application/octet-stream"})
    assert plain.content == data.pixel_array.astype("<i2").tobytes()


def test_a_deflated_file_has_frames_too() -> None:
    data = pydicom.dcmread(packed("image_dfl.dcm"))
    version = place(packed("image_dfl.dcm"))
    plain = bearer().get(address(version) + "/frames/1", headers={"accept": "application/octet-stream"})
    assert plain.content == data.PixelData


def test_refusals_say_why() -> None:
    version, client = place(packed("CT_small.dcm")), bearer()
    for path, accept, status, word in (
        ("/frames/2", STORED, 404, "1 frame"), ("/frames/0", STORED, 404, "frame"), ("/frames/x", STORED, 400, "numbers"),
        ("/frames/1", "image/jp2", 406, "octet"), ("/frames/1/rendered?window=1", "*/*", 400, "window"),
        ("/frames/1/rendered?viewport=99999,1", "*/*", 400, "viewport"), ("/rendered?quality=0", "*/*", 400, "quality"),
        ("/bulkdata/00189999", "*/*", 404, "value"), ("/bulkdata/nothing", "*/*", 404, "value"),
    ):  # fmt: skip
        answer = client.get(address(version) + path, headers={"accept": accept})
        assert answer.status_code == status, (path, answer.content)
        assert word in answer.json()["error"]["message"], answer.content
        assert answer.json()["error"]["remedy"]
    assert client.get("/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4/frames/1").status_code == 404


def test_one_statement_finds_the_file_and_a_browser_may_keep_the_frame() -> None:
    version, client = place(packed("CT_small.dcm")), bearer()
    first = client.get(address(version) + "/frames/1", headers={"accept": STORED})
    with CaptureQueriesContext(connection) as asked:
        again = client.get(address(version) + "/frames/1", headers={"accept": STORED, "if-none-match": first["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert "no-cache" in again["Cache-Control"]
    assert "private" in again["Cache-Control"]
    # Those of the token, and not one of Django's for the file: that one goes past it.
    assert sum("catalogue_" in query["sql"] for query in asked.captured_queries) == 0


def test_a_file_that_is_away_is_said_to_be() -> None:
    from pathlib import Path as FilePath

    from gantry import config

    version = place(packed("CT_small.dcm"))
    (FilePath(config.current().home) / version.file_path).unlink()
    answer = bearer().get(address(version) + "/frames/1", headers={"accept": STORED})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "bytes_missing")


def test_a_cut_file_gives_what_it_has() -> None:
    content = packed("rtdose.dcm").read_bytes()
    version = place_bytes(content[: len(content) - 500])
    client = bearer()
    assert client.get(address(version) + "/frames/1", headers={"accept": STORED}).status_code == 200
    last = client.get(address(version) + "/frames/15", headers={"accept": STORED})
    assert last.status_code == 422
    assert "ends before" in last.json()["error"]["message"]
